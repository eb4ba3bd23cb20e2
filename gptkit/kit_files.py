"""Read files that gptkit wrote and that may be damaged: regular files up to a size limit, as bytes, text or JSON.

Reading never hangs, even if the path is a folder, a pipe, a device, a huge file, or deeply nested JSON.
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
    """A file exists but is damaged. The message is a predicate that follows the file's path."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading. Does not wait for a pipe without a writer.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedFile: the file cannot be opened, or is not a regular file.
    """
    try:
        descriptor = open_nonblocking(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL byte
        raise DamagedFile(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if kind := irregular_kind(os.fstat(descriptor)):
        os.close(descriptor)
        raise DamagedFile(f"is {kind}, not a file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        limit: the largest size to read, in bytes.

    Raises:
        FileNotFoundError: the file does not exist.
        DamagedFile: the file is larger than `limit`, or cannot be read.
    """
    with open_regular(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = file.read(limit + 1) if size <= limit else b""
        except OSError as error:
            raise DamagedFile(f"cannot be read ({error.strerror})") from error
    if max(size, len(content)) > limit:
        raise DamagedFile(f"is {size / MIB:,.0f} MiB large, more than the limit of {limit / MIB:,.0f} MiB for such a file")
    return content


def read_text(path: Path, *, limit: int) -> str:
    """Return the content of a UTF-8 text file. Raises the same errors as `read_bytes`."""
    return decode(read_bytes(path, limit=limit))


def read_json(path: Path, *, limit: int) -> Any:
    """Return the value in a JSON file. Raises the same errors as `read_bytes`."""
    return parse_json(read_text(path, limit=limit))


def decode(content: bytes) -> str:
    """Decode UTF-8 text.

    Raises:
        DamagedFile: the bytes are not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedFile(f"is not UTF-8 text (byte {error.start + 1})") from error


def parse_json(text: str) -> Any:
    """Parse JSON.

    Raises:
        DamagedFile: the text is not JSON, or is nested too deeply to parse.
    """
    if not text.strip("\0 \t\r\n"):
        raise DamagedFile("is empty" if "\0" not in text else "contains only NUL bytes")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DamagedFile("is nested too deeply") from error
    except ValueError as error:
        raise DamagedFile(f"is not valid JSON ({str(error).partition(chr(10))[0]})") from error
