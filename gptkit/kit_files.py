"""Read a file that the kit wrote and that may be damaged since: only a regular file, only up to a size, as text or as JSON.

Whatever stands in a file's place (a folder, a pipe, a device, gigabytes, a thousand brackets), a reader gets an answer at once.
"""

from __future__ import annotations

import json
import os
from io import BufferedReader
from pathlib import Path
from typing import Any

from gptkit.user_files import irregular_kind, open_nonblocking

MIB = 1 << 20


class DamagedFile(Exception):
    """A file is there and is not what was written. The text says why, in words that follow its path."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading.

    Raises:
        FileNotFoundError: there is none.
        DamagedFile: it cannot be opened, or is no regular file. A pipe without a writer is not waited for.
    """
    try:
        descriptor = open_nonblocking(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that holds a NUL byte
        raise DamagedFile(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if kind := irregular_kind(os.fstat(descriptor)):
        os.close(descriptor)
        raise DamagedFile(f"is {kind}, not a file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, *, limit: int) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        limit: bytes that such a file has at most.

    Raises:
        FileNotFoundError: there is none.
        DamagedFile: it is larger, or cannot be read.
    """
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = file.read(limit + 1) if size <= limit else b""
        except OSError as error:
            raise DamagedFile(f"cannot be read ({error.strerror})") from error
    if max(size, len(content)) > limit:
        raise DamagedFile(f"is {size / MIB:,.0f} MiB large, and such a file has at most {limit / MIB:,.0f} MiB")
    return content


def read_text(path: Path, *, limit: int) -> str:
    """The content of a file of UTF-8 text; raises as `read_bytes`."""
    return decode(read_bytes(path, limit=limit))


def read_json(path: Path, *, limit: int) -> Any:
    """The content of a JSON file; raises as `read_bytes`."""
    return parse_json(read_text(path, limit=limit))


def decode(content: bytes) -> str:
    """Bytes as UTF-8 text.

    Raises:
        DamagedFile: they are none.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFile(f"is no UTF-8 text (byte {error.start + 1})") from error


def parse_json(text: str) -> Any:
    """The value that a JSON text holds.

    Raises:
        DamagedFile: it is no JSON, or nested deeper than anything that is written here.
    """
    if not text.strip("\0 \t\r\n"):
        raise DamagedFile("is empty" if "\0" not in text else "holds NUL bytes alone")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DamagedFile("is nested too deeply") from error
    except ValueError as error:
        raise DamagedFile(f"is no JSON ({str(error).partition(chr(10))[0]})") from error
