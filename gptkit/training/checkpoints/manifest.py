"""The folder name of a checkpoint and its manifest.json: the size and SHA-256 of every file, and the distributions of its parts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptkit.atomic_io import WRITING
from gptkit.errors import CheckpointError, ConfigError
from gptkit.hookspecs import NAMED_KINDS
from gptkit.hub import commits
from gptkit.kit_files import MIB, DamagedFile, open_regular, read_json
from gptkit.plugins import registry
from gptkit.training.checkpoints.migrations import current_manifest
from gptkit.training.checkpoints.schemas import check_manifest

_log = logging.getLogger("gptkit")

FOLDER = "checkpoints"
"""The folder of a run that holds its checkpoint folders."""

FOLDER_NAME = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,17})")
"""The name of a checkpoint's folder, with its step; exactly one name belongs to each step."""

FILE = "manifest.json"
FORMAT = 1

MAX_BYTES = 16 * MIB
"""The largest manifest.json that is read, in bytes."""


class DamagedCheckpoint(CheckpointError):
    """A checkpoint is incomplete or altered; an earlier one may be intact."""


@dataclass(frozen=True)
class Base:
    """The base of an adapter: where its weights were read, and which ones they were."""

    key: str
    """The setting that names it: `init_from`, or `model.path` of a model part with pretrained weights."""
    path: str
    """An absolute path, hf:<path or name on the Hub> or, for `model.path`, a name on the Hub."""
    relative: str
    """The path relative to the checkpoint, so that both can be moved together; empty for a name on the Hub."""
    fingerprint: str
    """Fingerprint of its weights."""


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json."""

    step: int
    val_loss: float | None
    value_to_minimize: float | None
    """The value that the best checkpoint minimizes: the validation loss, unless the objective monitors another metric. None if the
    checkpoint was not validated."""

    files: Mapping[str, tuple[int, str]]
    """Size in bytes and SHA-256 of every file, by its path in the folder."""

    parts: Mapping[str, tuple[str, str]]
    """Name and distribution==version of every part, by its key (`model`, `callback.spike`)."""

    tokenizer: str
    """Fingerprint of the tokenizer with which the weights were trained."""

    vocabulary: int
    """The number of ids of that tokenizer."""

    hub: Mapping[str, str] = field(default_factory=dict)
    """The commit of each hub name in the settings, if known."""

    base: Base | None = None
    """The base of the adapter that the checkpoint holds; None: it holds a whole model."""


def checkpoint_folder(run: Path, step: int) -> Path:
    """Return the folder for the checkpoint of a step. It need not exist."""
    return run / FOLDER / f"step-{step:08d}"


def step_of(folder: Path) -> int | None:
    """Return the step in the name of a finished or unfinished checkpoint folder; None if the folder has another name."""
    match = FOLDER_NAME.fullmatch(folder.name.removeprefix(WRITING))
    return int(match[1]) if match else None


def describe_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size and SHA-256 of every file below the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, sha256(path)) for path in files}


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_parts(content: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the name and distribution==version of every part in plain settings, by key."""
    parts = {}
    for key, kind, name in named_parts(content):
        entry = registry().find(kind, name)
        parts[key] = (name, f"{entry.distribution}=={entry.version}")
    return parts


def named_parts(content: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Yield (key, kind, name) of every part in plain settings."""
    for kind in registry().parts:
        value = content.get(kind)
        if not isinstance(value, Mapping):
            continue
        if kind in NAMED_KINDS:
            yield from ((f"{kind}.{key}", kind, part.get("name", "")) for key, part in value.items())
        else:
            yield kind, kind, value.get("name", "")


def describe_hub(content: Any, before: Mapping[str, str]) -> dict[str, str]:
    """Return the commit of each hub name in plain settings.

    Args:
        content: the settings.
        before: commits from an earlier checkpoint of the run, for names that this process has not looked up.
    """
    named = {text.removeprefix("hf:") for text in _texts(content)}
    return {name: commit for name, commit in sorted({**before, **commits}.items()) if name in named}


def _texts(content: Any) -> Iterable[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        yield from (text for value in content.values() for text in _texts(value))
    elif isinstance(content, list):
        yield from (text for value in content for text in _texts(value))


def to_json(manifest: Manifest) -> str:
    """Return the text of manifest.json, which ends with a hash of the other entries."""
    body: dict[str, Any] = {
        "format": FORMAT,
        "step": manifest.step,
        "val_loss": manifest.val_loss,
        "merit": manifest.value_to_minimize,
        "tokenizer": manifest.tokenizer,
        "vocabulary": manifest.vocabulary,
        **({"hub": dict(manifest.hub)} if manifest.hub else {}),
        **({"base": dataclasses.asdict(manifest.base)} if manifest.base else {}),
        "parts": {key: {"name": name, "distribution": version} for key, (name, version) in manifest.parts.items()},
        "files": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in manifest.files.items()},
    }
    return json.dumps({**body, "sha256": _hash_entries(body)}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a checkpoint folder.

    Raises:
        DamagedCheckpoint: the manifest is missing, incomplete or altered.
        CheckpointError: a later version of gptkit wrote it.
    """
    path = folder / FILE
    try:
        body = read_json(path, limit=MAX_BYTES)
        if not isinstance(body, dict):
            raise DamagedFile("is not a JSON object")
        digest = body.pop("sha256", None)
        if isinstance(body.get("format"), int) and body["format"] > FORMAT and digest == _hash_entries(body):
            raise CheckpointError(f"{folder}: was written by a later version of gptkit; upgrade with: pip install -U gptkit")
        if digest != _hash_entries(body):
            raise DamagedFile("was altered after it was written (its SHA-256 differs)")
        body = current_manifest(body)
        body.setdefault("merit", body.get("val_loss"))
        check_manifest(body)
        if step_of(folder) not in (None, body["step"]):
            raise DamagedFile(f"is the manifest of step {body['step']:,}; was the folder renamed?")
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{folder}: is incomplete: it has no {FILE}") from error
    except DamagedFile as error:
        if not folder.is_dir():
            raise DamagedCheckpoint(f"{folder}: is not a readable folder, and so not a checkpoint") from error
        raise DamagedCheckpoint(f"{path}: {error}") from error
    return Manifest(
        step=body["step"],
        val_loss=body["val_loss"],
        value_to_minimize=body["merit"],
        files={name: (file["bytes"], file["sha256"]) for name, file in body["files"].items()},
        parts={key: (part["name"], part["distribution"]) for key, part in body["parts"].items()},
        tokenizer=body["tokenizer"],
        vocabulary=body["vocabulary"],
        hub=body.get("hub", {}),
        base=Base(**body["base"]) if body.get("base") else None,
    )


def verify_file(folder: Path, manifest: Manifest, name: str) -> Path:
    """Verify the size and hash of one file of a checkpoint and return its path.

    Raises:
        DamagedCheckpoint: the file is missing, incomplete or altered.
    """
    path = folder / name
    size, digest = manifest.files[name]
    try:
        with open_regular(path) as file:
            actual_size = os.fstat(file.fileno()).st_size
            if actual_size != size:
                raise DamagedFile(f"has {actual_size:,} bytes, and {size:,} were written")
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise DamagedFile("was altered after it was written (its SHA-256 differs)")
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{folder}: is incomplete: {name} is missing") from error
    except DamagedFile as error:
        raise DamagedCheckpoint(f"{path}: {error}") from error
    except OSError as error:
        raise DamagedCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    return path


def verify(folder: Path) -> Manifest:
    """Verify every file of a checkpoint and return its manifest.

    Raises:
        DamagedCheckpoint: a file is missing, incomplete or altered.
    """
    manifest = read_manifest(folder)
    for name in manifest.files:
        verify_file(folder, manifest, name)
    return manifest


def check_installed(folder: Path, manifest: Manifest, keys: Iterable[str]) -> None:
    """Check that the parts under these keys are installed. Warns if another distribution provides a part of that name.

    Raises:
        CheckpointError: a part is not installed; the message names the distribution and version to install.
    """
    for key in keys:
        if key not in manifest.parts:
            continue
        name, distribution = manifest.parts[key]
        kind = key.partition(".")[0]
        project = distribution.partition("==")[0]
        try:
            entry = registry().find(kind, name)
        except ConfigError as error:
            failures = [failure for failure in registry().failures if failure.origin.installed]
            broken = [failure.reason for failure in failures if failure.origin.distribution == project]
            prefix = f"{folder}: was written with {kind}={name} of {distribution}, which"
            if broken:
                raise CheckpointError(f"{prefix} is installed here and failed to load: {broken[0]}") from error
            raise CheckpointError(f"{prefix} is not installed here: pip install {distribution}") from error
        if entry.distribution != project:
            _log.warning(
                "%s: was written with %s=%s of %s, and here %s provides that name: results may differ (pip install %s)",
                folder,
                kind,
                name,
                distribution,
                entry.distribution,
                distribution,
            )


def is_finite(loss: float | None) -> bool:
    """Return whether a validation loss exists and is finite."""
    return loss is not None and math.isfinite(loss)


def _hash_entries(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
