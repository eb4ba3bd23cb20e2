"""SHA-256 of files, remembered while a file's size and time of change stay the same."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from gptkit.data.cache import cache_folder
from gptkit.errors import DataError

SMALL = 16 << 20
"""Files below this many bytes are read every time: that is as fast as looking them up."""

SETTLED = 2.0
"""A file changed less than this many seconds ago might change again without a new time, and is not remembered."""


def digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of the file's bytes.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        status = path.stat()
        if status.st_size < SMALL:
            return _read(path)
        identity = f"{os.path.realpath(path)}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
        memory = cache_folder() / "digests" / hashlib.sha256(os.fsencode(identity)).hexdigest()
        if memory.is_file():
            known = memory.read_text(encoding="ascii")
            if len(known) == 64:
                return known
        found = _read(path)
        if time.time() - status.st_mtime > SETTLED:
            _remember(memory, found)
        return found
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remember(memory: Path, found: str) -> None:
    draft = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(found, encoding="ascii")
        draft.replace(memory)
    except OSError:  # a cache that cannot be written costs time, nothing else
        draft.unlink(missing_ok=True)
