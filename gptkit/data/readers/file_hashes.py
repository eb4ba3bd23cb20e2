"""SHA-256 of files, cached by size and modification time, and the check that a file is unchanged since it was hashed."""

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
"""Files below this many bytes are not cached: hashing them is as fast as a lookup."""

SETTLED = 2.0
"""Files modified less than this many seconds ago are not cached: they could change again without a new modification time."""

Identity = tuple[int, int, int, int]

_hashed: dict[str, tuple[Identity, str]] = {}
"""The identity and the SHA-256 of each file that this process has hashed, by path."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file.

    Raises:
        DataError: the path is not a regular file, or cannot be read.
    """
    identity = _identity(path)
    result = _cached_sha256(path, identity)
    _hashed[os.path.abspath(path)] = identity, result
    return result


@contextmanager
def ensure_unchanged(path: Path) -> Iterator[None]:
    """Check that the file that the `with` block reads has the content that `file_sha256` hashed.

    Raises:
        DataError: the file changed after it was hashed, or while it was read.
    """
    before = _identity(path)
    hashed_identity, sha256 = _hashed.get(os.path.abspath(path), (before, ""))
    if before != hashed_identity:
        _check_content(path, sha256)
    yield
    if _identity(path) != before:
        _check_content(path, sha256)


def _check_content(path: Path, sha256: str) -> None:
    """Compare the content, since a file may have a new modification time but the same content, such as after copying."""
    if _compute_sha256(path) != sha256:
        raise DataError(f"{path} changed while it was read; wait until no process writes to it, then run the command again")


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
    cache_key = f"{os.path.realpath(path)}\0{size}\0{changed}\0{inode}"
    cached = cache_folder() / "digests" / hashlib.sha256(os.fsencode(cache_key)).hexdigest()
    try:
        content = cached.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{64}", content):
            return content
    except (OSError, ValueError):  # not cached yet, or damaged
        pass
    result = _compute_sha256(path)
    if time.time() - changed / 1e9 > SETTLED:
        _cache_sha256(cached, result)
    return result


def _compute_sha256(path: Path) -> str:
    with open_user_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache_sha256(cached: Path, sha256: str) -> None:
    draft = cached.with_name(f"{cached.name}.{os.getpid()}")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(sha256, encoding="ascii")
        draft.replace(cached)
    except OSError:  # without the cache, the file is hashed again next time
        draft.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Return $GPTKIT_CACHE, else ~/.cache/gptkit. The folder may not exist yet, and may be deleted at any time."""
    return expand_path(os.environ.get("GPTKIT_CACHE") or "~/.cache/gptkit")
