"""SHA-256 of files, remembered while a file's size and time of change stay the same; and that what is read is what was hashed."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gptkit.errors import DataError
from gptkit.user_files import expand_path, open_user_file, unreadable_file_error

SMALL = 16 << 20
"""Files below this many bytes are read every time: that is as fast as looking them up."""

SETTLED = 2.0
"""A file changed less than this many seconds ago might change again without a new time, and is not remembered."""

Identity = tuple[int, int, int, int]

_hashed: dict[str, tuple[Identity, str]] = {}
"""By path: what the file was when this process took its SHA-256, and that."""


def file_sha256(path: Path) -> str:
    """SHA-256 (hexadecimal) of the file's bytes.

    Raises:
        DataError: it is no regular file, or cannot be read.
    """
    identity = _identity(path)
    result = _cached_sha256(path, identity)
    _hashed[os.path.abspath(path)] = identity, result
    return result


@contextmanager
def ensure_unchanged(path: Path) -> Iterator[None]:
    """What the `with` block reads of a file is one content, and that of which `digest` gave the SHA-256.

    Raises:
        DataError: the file changed after it was hashed, or while it was read.
    """
    before = _identity(path)
    known, content = _hashed.get(os.path.abspath(path), (before, ""))
    if before != known:
        _check_content(path, content)
    yield
    if _identity(path) != before:
        _check_content(path, content)


def _check_content(path: Path, content: str) -> None:
    """A file may have another time and the content that it had, as after it was copied anew."""
    if _compute_sha256(path) != content:
        raise DataError(f"{path} changed while it was read; wait until nothing writes to it, and give the same command again")


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable_file_error(path, error) from None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _cached_sha256(path: Path, identity: Identity) -> str:
    _, inode, size, changed = identity
    if size < SMALL:
        return _compute_sha256(path)
    described = f"{os.path.realpath(path)}\0{size}\0{changed}\0{inode}"
    memory = cache_folder() / "digests" / hashlib.sha256(os.fsencode(described)).hexdigest()
    try:
        known = memory.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", known):
            return known
    except (OSError, ValueError):  # not remembered yet, or torn
        pass
    result = _compute_sha256(path)
    if time.time() - changed / 1e9 > SETTLED:
        _cache_sha256(memory, result)
    return result


def _compute_sha256(path: Path) -> str:
    with open_user_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache_sha256(memory: Path, found: str) -> None:
    draft = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(found, encoding="ascii")
        draft.replace(memory)
    except OSError:  # a cache that cannot be written costs time, nothing else
        draft.unlink(missing_ok=True)


def cache_folder() -> Path:
    """$GPTKIT_CACHE, else ~/.cache/gptkit. It may not exist yet, and deleting it is always safe."""
    return expand_path(os.environ.get("GPTKIT_CACHE") or "~/.cache/gptkit")
