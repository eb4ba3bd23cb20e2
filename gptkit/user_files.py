"""Read files that a user names. Only regular files are read: a pipe, socket or device could block, or never end."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from gptkit.errors import DataError

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@contextmanager
def open_user_file(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading bytes.

    Raises:
        DataError: the path is not a regular file, or cannot be opened or read, also while it is read in the `with` block.
    """
    try:
        check_regular_file(path, path.stat())
        with open(open_nonblocking(path), "rb") as file:
            check_regular_file(path, os.fstat(file.fileno()))  # it may have been replaced since
            yield file
    except OSError as error:
        raise unreadable_file_error(path, error) from None
    except ValueError as error:  # the name contains a NUL character
        if "null" not in str(error):
            raise
        raise DataError(f"{str(path)!r} is not a valid file name: it contains a NUL character") from None


def check_regular_file(path: Path, status: os.stat_result) -> None:
    """Raise a DataError that says what the path is, unless its status is that of a regular file."""
    if kind := irregular_kind(status):
        raise DataError(f"{path} is {kind}, but only regular files can be read; write its content to a file and use that")


def irregular_kind(status: os.stat_result) -> str:
    """Return what a status belongs to, such as "a pipe"; empty for a regular file."""
    return "" if stat.S_ISREG(status.st_mode) else _KINDS.get(stat.S_IFMT(status.st_mode), "something else")


def open_nonblocking(path: Path) -> int:
    """Open a path for reading without waiting for the other end of a pipe, and return the descriptor."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def unreadable_file_error(path: Path, error: OSError) -> DataError:
    """Return an error that says why a file or folder cannot be read, for example because it is a broken link."""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return DataError(f"{path} is a link to {os.readlink(path)}, which does not exist; fix or remove the link")
    if isinstance(error, NotADirectoryError):
        above = next((each for each in Path(path).parents if not each.is_dir()), path)
        return DataError(f"{path} cannot be read: {above} is a file, not a folder")
    return DataError(f"{path} cannot be read: {error.strerror or error}")


def expand_path(text: str) -> Path:
    """Expand `~` in a path that a user typed. Leaves it unchanged if the user is unknown."""
    return Path(os.path.expanduser(text))  # Path.expanduser raises if the user is unknown


def read_json_file(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        DataError: the file cannot be read, or is not JSON.
    """
    with open_user_file(path) as file:
        content = file.read()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}".partition("\n")[0]) from None
