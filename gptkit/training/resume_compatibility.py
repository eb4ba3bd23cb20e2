"""Checks that a command may resume a run: every setting and source that affects the weights must be unchanged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gptkit.atomic_io import try_lock, wrap_os_errors
from gptkit.errors import ConfigError

MAY_DIFFER = (
    "logger",
    "save",
    "samples",
    "val.every",
    "val.sequences",
    "verify",
    "objective.sanity_checks",
    "trainer.max_time",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
    "trainer.profiler",
)
"""Keys whose values, and all values below them, may differ: time limits, logging, saving, sampling, the frequency and size of
validations, and the sanity checks."""

MAY_GROW = ("tokens", "epochs", "trainer.max_steps")
"""Keys that decide the length of the run, which may increase."""

PATH_KEYS = ("path", "validation", "test", "checkpoint", "init_from")
"""Last parts of the dotted keys whose values are paths of files and folders."""

DECIDED_BY_WEIGHTS = ("model", "tokenizer", "attention")
"""Keys that `init_from` decides: a run that differs in them cannot start from the weights."""

LISTED_DIFFERENCES = 8
"""The number of differences that an error lists."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, fingerprinted: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return the settings that prevent a run from being resumed: each key that differs, with `old -> new`, in order of the keys.

    The length of the run is not compared. Two paths are equal if they resolve to the same file or folder.

    Args:
        old, new: settings as plain values, defaults included.
        fingerprinted: keys of sources that are compared by content (`check_same_sources`), so their paths may differ.
    """
    before, after = flatten(old), flatten(new)
    moved = tuple(f"{key}." for key in fingerprinted)
    changes = []
    for key in dict.fromkeys([*before, *after]):
        if key in MAY_GROW or any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER):
            continue
        was, now = before.get(key), after.get(key)
        if not is_same_value(key, was, now) and not (names_path(key) and key.startswith(moved)):
            changes.append((key, f"{was} -> {now}"))
    return changes


def is_same_value(key: str, one: Any, other: Any) -> bool:
    """Return whether two values of a key are equivalent."""
    if one == other:
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_same_value(key, *pair) for pair in zip(one, other, strict=True))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same_value(name, one[name], other[name]) for name in one)
    return names_path(key) and isinstance(one, str) and isinstance(other, str) and resolve_path(one) == resolve_path(other)


def names_path(key: str) -> bool:
    """Return whether the value of a dotted key is the path of a file or folder."""
    return key.rpartition(".")[2] in PATH_KEYS


def resolve_path(path: str) -> str:
    """Return an absolute path without `~` and symbolic links; keeps a prefix such as `hf:`."""
    scheme, colon, rest = path.rpartition("hf:")
    try:
        return f"{scheme}{colon}{Path(rest).expanduser().resolve()}"
    except (OSError, RuntimeError, ValueError):  # a loop of links, no such user, a null character
        return path


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted keys. Lists stay values; keys with the value None are left out."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat


def check_same_run(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], *, fingerprinted: Iterable[str] = ()) -> None:
    """Check that the settings of a run and of a command are compatible.

    Args:
        folder: the run folder.
        old, new, fingerprinted: as in `differences`.

    Raises:
        ConfigError: settings differ; lists them.
    """
    changes = differences(old, new, fingerprinted=fingerprinted)
    if not changes:
        return
    listed = "; ".join(f"{key}: {change}" for key, change in changes[:LISTED_DIFFERENCES])
    more = f"; and {len(changes) - LISTED_DIFFERENCES} more" if len(changes) > LISTED_DIFFERENCES else ""
    keeps_model = not any(key.partition(".")[0] in DECIDED_BY_WEIGHTS for key, _ in changes)
    alternative = (
        f"or init_from={folder} and another hydra.run.dir to train on from its weights with these"
        if keeps_model
        else "or another hydra.run.dir to start a new run"
    )
    raise ConfigError(
        f"{folder} holds a run with other settings ({listed}{more}); hydra.run.dir={folder} alone continues it with its own, "
        f"{alternative}"
    )


def check_same_sources(checkpoint: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that the sources of a run have the same content as when its checkpoint was written.

    Args:
        checkpoint: the checkpoint from which the run resumes.
        before, now: fingerprints by the key of their source; only the keys of `now` are compared.

    Raises:
        ConfigError: the content of a source changed.
    """
    changed = [key for key, fingerprint in now.items() if before.get(key, fingerprint) != fingerprint]
    if changed:
        keys = " and ".join(f"{key}=" for key in changed)
        raise ConfigError(
            f"{keys}: the content has changed since {checkpoint} was written, or this version of gptkit mixes or splits it "
            "differently; restore the content to continue the run, or set another hydra.run.dir to start a new run "
            "(init_from=<this run> starts it from these weights)"
        )


@contextlib.contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Lock a run folder, so that no other process trains in it. The lock of a killed process is released.

    Raises:
        ConfigError: another process is training there.
        GptkitError: the folder cannot be created or opened.
    """
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)  # the folder itself is locked, so no lock file is left behind
    try:
        if not try_lock(descriptor):
            raise ConfigError(f"{folder}: another process is training there; wait for it, or set another hydra.run.dir")
        yield
    finally:
        os.close(descriptor)


def check_not_shorter(folder: Path, *, done: int, before: int, now: int) -> None:
    """Check that a command does not shorten a run.

    Args:
        folder: the run folder.
        done: the step of its checkpoint.
        before: the last step according to the settings of the run.
        now: the last step according to this command.

    Raises:
        ConfigError: the run would end earlier.
    """
    if now < max(before, done):
        raise ConfigError(
            f"{folder} holds a run of {max(before, done)} steps, and this command requests {now}: tokens and trainer.max_steps "
            "may only increase; raise them, or set another hydra.run.dir to start a new run"
        )
