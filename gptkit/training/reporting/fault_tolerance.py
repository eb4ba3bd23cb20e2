"""Prevents reporting from stopping a run: failed writes become warnings, and damaged log files are skipped with a warning."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gptkit.atomic_io import move_aside, write_file
from gptkit.errors import GptkitError
from gptkit.kit_files import MIB, DamagedFile, decode, read_bytes, read_json

Record = TypeVar("Record")

MAX_BYTES = 1024 * MIB
"""The size limit of a log file in bytes, enough for about ten million rows."""

LARGEST_NUMBER = 1e100
"""No run logs a larger number. A file that holds one is damaged, and the number could not be plotted."""

_log = logging.getLogger("gptkit")


def read_lines(path: Path, parse: Callable[[str], Record]) -> tuple[list[Record], int]:
    """Return the parsed lines of a file, without an incomplete last line, and the number of damaged lines.

    A file that cannot be read counts as one damaged line, and a missing file as an empty one.

    Args:
        path: the file; it need not exist.
        parse: parses a line; raises `DamagedFile` for a damaged one. Damaged lines are skipped and named in one warning.
    """
    try:
        content, _, _ = read_bytes(path, limit=MAX_BYTES).rpartition(b"\n")
    except FileNotFoundError:
        return [], 0
    except DamagedFile as error:
        warn_damaged(path, error)
        return [], 1
    records: list[Record] = []
    damaged: list[tuple[int, DamagedFile]] = []
    for number, line in enumerate(content.split(b"\n") if content else (), 1):
        try:
            if b"\0" in line:
                raise DamagedFile("holds NUL bytes")
            records.append(parse(decode(line)))
        except DamagedFile as error:
            damaged.append((number, error))
    if damaged:
        (number, first), more = damaged[0], len(damaged) - 1
        others = f", and {more:,} more such line{'s' if more > 1 else ''}" if more else ""
        _log.warning("warning: %s:%d: %s; skipped this line%s", path, number, first, others)
    return records, len(damaged)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is no file or, with a warning, if it cannot be read."""
    try:
        body = read_json(path, limit=MIB)
        if not isinstance(body, dict):
            raise DamagedFile("is not a JSON object")
    except FileNotFoundError:
        return {}
    except DamagedFile as error:
        warn_damaged(path, error)
        return {}
    return body


def warn_damaged(path: Path, damage: object) -> None:
    """Warn that a file is ignored, and why."""
    _log.warning("warning: %s: %s; ignored the file", path, damage)


def valid_entries(path: Path, body: Mapping[str, Any], is_valid: Callable[[str, Any], bool]) -> dict[str, Any]:
    """Return the valid entries of a JSON object. Invalid ones are named in one warning."""
    invalid = [name for name, value in body.items() if not is_valid(name, value)]
    if invalid:
        more = f", and {len(invalid) - 1} more such entries" if len(invalid) > 1 else ""
        _log.warning("warning: %s: %s has an invalid value; ignored it%s", path, repr(invalid[0])[:60], more)
    return {name: value for name, value in body.items() if name not in invalid}


def is_number(value: object) -> bool:
    """Return whether a value read from JSON is a number that a run can have logged."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER  # false for NaN


def is_count(value: object) -> bool:
    """Return whether a value read from JSON is a non-negative integer that a run can have counted."""
    return type(value) is int and 0 <= value < 1 << 63


def move_obstacles_aside(folder: Path, *, files: Iterable[str], folders: Iterable[str]) -> None:
    """Rename what is in the way of a run's files and folders to <name>.damaged.

    A folder or a pipe has the name of a file, or a file the name of a folder.
    """
    for name, has_right_type in [*((name, Path.is_file) for name in files), *((name, Path.is_dir) for name in folders)]:
        path = folder / name
        if os.path.lexists(path) and not has_right_type(path):
            move_aside(path, "is a folder, not a file" if path.is_dir() else "is not a file or folder as a run writes it")


def rewrite_or_move_aside(path: Path, text: str, *, unreadable: bool) -> None:
    """Replace the content of a log file, if it exists. If nothing in it could be read, moves it aside instead."""
    if unreadable:
        move_aside(path, "nothing in it can be read")
    elif path.is_file():
        write_file(path, text)


_logged_warnings: set[str] = set()


def warn_once(line: str) -> None:
    """Log a warning, unless this command has logged the same one."""
    if line not in _logged_warnings:
        _logged_warnings.add(line)
        _log.warning("warning: %s", line)


def forget_warnings() -> None:
    """Allow the next command to log every warning again."""
    _logged_warnings.clear()


@contextlib.contextmanager
def best_effort(output: str) -> Iterator[None]:
    """Context in which any exception becomes one warning.

    Args:
        output: what the context writes, as the subject of a sentence: "samples".
    """
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        reason = lines[0] if isinstance(error, GptkitError) else f"{type(error).__name__}: {lines[0]}".rstrip(": ")
        _log.warning("%s could not be written (%s); the run itself is unaffected", output, reason)
