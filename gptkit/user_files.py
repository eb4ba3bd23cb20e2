"""Regular files, which have an end: a pipe, a socket or a device keeps its reader waiting, or gives bytes without end."""

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
    """The bytes of a regular file.

    Raises:
        DataError: it is none, or cannot be opened or read (also later, while it is read in the `with` block); names the file.
    """
    try:
        check_regular_file(path, path.stat())
        with open(open_nonblocking(path), "rb") as file:
            check_regular_file(path, os.fstat(file.fileno()))  # what has taken its place since
            yield file
    except OSError as error:
        raise unreadable_file_error(path, error) from None
    except ValueError as error:  # a NUL character in the name
        if "null" not in str(error):
            raise
        raise DataError(f"{str(path)!r} is no name of a file: it has a NUL character") from None


def check_regular_file(path: Path, status: os.stat_result) -> None:
    """Raises: DataError: what has this status is no regular file; says what it is."""
    if kind := irregular_kind(status):
        raise DataError(f"{path} is {kind}, and only regular files are read; write what it gives to a file, and name that")


def irregular_kind(status: os.stat_result) -> str:
    """What it is that has this status; empty where it is a regular file."""
    return "" if stat.S_ISREG(status.st_mode) else _KINDS.get(stat.S_IFMT(status.st_mode), "something else")


def open_nonblocking(path: Path) -> int:
    """A descriptor for reading whatever is there, without waiting for the other end of a pipe. Regular files are as with `open`."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def unreadable_file_error(path: Path, error: OSError) -> DataError:
    """Why a file or folder cannot be read, in words: a link to nothing and a circle of links among the reasons."""
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return DataError(f"{path} is a link to {os.readlink(path)}, which is not there; mend or remove the link")
    if isinstance(error, NotADirectoryError):
        above = next((each for each in Path(path).parents if not each.is_dir()), path)
        return DataError(f"{path} cannot be read: {above} is a file, not a folder")
    return DataError(f"{path} cannot be read: {error.strerror or error}")


def expand_path(text: str) -> Path:
    """What a user wrote as a path; `~` is the home folder, and stays as it is where nobody knows whose."""
    return Path(os.path.expanduser(text))  # pathlib's own raises where the user is unknown


def read_json_file(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it cannot be read, or is not JSON.
    """
    with open_user_file(path) as file:
        content = file.read()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}".partition("\n")[0]) from None
