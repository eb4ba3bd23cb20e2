"""What manifest.json must look like, whoever wrote it: every key with its type, and no file outside the checkpoint's folder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from gptkit.kit_files import DamagedFile

LARGEST = 1 << 63
"""Above every step and size."""

REQUIRED = ("model.safetensors", "state.pt", "config.yaml")
"""Files that every checkpoint has."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_manifest(body: Mapping[str, Any]) -> None:
    """See that the content of a manifest.json can be used as it is.

    Raises:
        DamagedFile: a key is missing, has a value of another type, or names a file outside the folder.
    """
    for name in ("format", "step", "vocabulary"):
        _check(_is_count(body.get(name)), name, "a whole number")
    for name in ("val_loss", "merit"):
        _check(_is_loss(body.get(name)), name, "a number or null")
    _check(isinstance(body.get("tokenizer"), str), "tokenizer", "a text")
    parts = body.get("parts")
    _check(isinstance(parts, dict), "parts", "an object")
    assert isinstance(parts, dict)
    for key, part in parts.items():
        named = isinstance(part, dict) and all(isinstance(part.get(name), str) for name in ("name", "distribution"))
        _check(named, f"parts.{key}", "an object with name and distribution")
    hub = body.get("hub", {})
    _check(isinstance(hub, dict) and all(isinstance(commit, str) for commit in hub.values()), "hub", "an object of texts")
    _check_files(body.get("files"))


def _check_files(files: Any) -> None:
    _check(isinstance(files, dict), "files", "an object")
    for name, file in files.items():
        if not _stays_inside(name):
            raise DamagedFile(f"names {name[:80]!r}, which is no file of a checkpoint")
        _check(isinstance(file, dict), f"files.{name}", "an object")
        _check(_is_count(file.get("bytes")), f"files.{name}.bytes", "a whole number")
        digest = file.get("sha256")
        _check(isinstance(digest, str) and _SHA256.fullmatch(digest) is not None, f"files.{name}.sha256", "a SHA-256")
    for name in REQUIRED:
        if name not in files:
            raise DamagedFile(f"does not name {name}, which every checkpoint has")


def _stays_inside(name: str) -> bool:
    """Whether a path is that of a file below the folder: relative, spelt in one way, and without a step upward."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name and "\0" not in name


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _is_loss(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST and math.isfinite(value)


def _check(fits: bool, name: str, kind: str) -> None:
    if not fits:
        raise DamagedFile(f"has something else than {kind} under {name[:80]}")
