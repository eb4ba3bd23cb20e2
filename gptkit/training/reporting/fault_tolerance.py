"""Reporting never stops a run: failed writes become warnings, and damaged log files are named and left out."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gptkit.atomic_io import write_file
from gptkit.errors import GptkitError
from gptkit.kit_files import MIB, DamagedFile, decode, read_bytes, read_json

Record = TypeVar("Record")

MAX_BYTES = 1024 * MIB
"""Bytes of the largest file of lines that is read: some ten million rows."""

LARGEST_NUMBER = 1e100
"""No run measures a larger number; one that is there was not written by it, and cannot be drawn."""

_log = logging.getLogger("gptkit")


def read_lines(path: Path, parse: Callable[[str], Record]) -> tuple[list[Record], int]:
    """What `parse` makes of each line of a file, without the last if it was cut short, and how many were damaged.

    A file that cannot be read at all is one damaged line; where there is no file, there are none.

    Args:
        path: of the file; it need not exist.
        parse: raises DamagedFile for a line that is not as it was written. Those are left out, and named in one warning.
    """
    try:
        whole, _, _ = read_bytes(path, limit=MAX_BYTES).rpartition(b"\n")
    except FileNotFoundError:
        return [], 0
    except DamagedFile as error:
        warn_damaged(path, error)
        return [], 1
    records: list[Record] = []
    damaged: list[tuple[int, DamagedFile]] = []
    for number, line in enumerate(whole.split(b"\n") if whole else (), 1):
        try:
            if b"\0" in line:
                raise DamagedFile("holds NUL bytes")
            records.append(parse(decode(line)))
        except DamagedFile as error:
            damaged.append((number, error))
    if damaged:
        (number, first), more = damaged[0], len(damaged) - 1
        others = f", and {more:,} more such line{'s' if more > 1 else ''}" if more else ""
        _log.warning("warning: %s:%d: %s; this line is left out%s", path, number, first, others)
    return records, len(damaged)


def read_object(path: Path) -> dict[str, Any]:
    """The content of a file that holds one JSON object; empty, with a warning where the file is there, if it cannot be read."""
    try:
        body = read_json(path, limit=MIB)
        if not isinstance(body, dict):
            raise DamagedFile("is no JSON object")
    except FileNotFoundError:
        return {}
    except DamagedFile as error:
        warn_damaged(path, error)
        return {}
    return body


def warn_damaged(path: Path, damage: object) -> None:
    """Say that a file is left out, and why."""
    _log.warning("warning: %s: %s; it is left out", path, damage)


def valid_entries(path: Path, body: Mapping[str, Any], fits: Callable[[str, Any], bool]) -> dict[str, Any]:
    """The entries of a JSON object whose values are of their kind; the others are named in one warning."""
    wrong = [name for name, value in body.items() if not fits(name, value)]
    if wrong:
        more = f", and {len(wrong) - 1} more such entries" if len(wrong) > 1 else ""
        _log.warning("warning: %s: %s is not of its kind; it is left out%s", path, repr(wrong[0])[:60], more)
    return {name: value for name, value in body.items() if name not in wrong}


def is_number(value: object) -> bool:
    """Whether a value read from JSON is a number that a run can have measured."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER  # which NaN is not


def is_count(value: object) -> bool:
    """Whether a value read from JSON is a whole number from 0 that a run can have counted."""
    return type(value) is int and 0 <= value < 1 << 63


def move_obstacles_aside(folder: Path, *, files: Iterable[str], folders: Iterable[str]) -> None:
    """Move aside what stands where a run is to write and is of another kind: a folder or a pipe in a file's place, a file in a
    folder's. Nothing is deleted: it is renamed to <name>.damaged.
    """
    for name, has_its_kind in [*((name, Path.is_file) for name in files), *((name, Path.is_dir) for name in folders)]:
        path = folder / name
        if os.path.lexists(path) and not has_its_kind(path):
            set_aside(path, "is a folder, not a file" if path.is_dir() else "is not of the kind that belongs there")


def rewrite_or_move_aside(path: Path, text: str, *, unreadable: bool) -> None:
    """Replace the content of a log file, if it exists. If nothing in it could be read, move it aside instead."""
    if unreadable:
        set_aside(path, "nothing in it can be read")
    elif path.is_file():
        write_file(path, text)


def set_aside(path: Path, reason: object) -> None:
    """Rename a file that cannot be used, so that a new one can be written and nothing is lost."""
    aside = path.with_name(f"{path.name}.damaged")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    _log.warning("warning: %s: %s; it is now %s", path, reason, aside.name)


_logged_warnings: set[str] = set()


def warn_once(line: str) -> None:
    """Log a warning, unless this command has logged the same one."""
    if line not in _logged_warnings:
        _logged_warnings.add(line)
        _log.warning("warning: %s", line)


def forget_warnings() -> None:
    """Let the next command log every warning again."""
    _logged_warnings.clear()


@contextlib.contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Whatever goes wrong inside is said in one warning.

    Args:
        what: is attempted, as the subject of a sentence: "samples".
    """
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        reason = lines[0] if isinstance(error, GptkitError) else f"{type(error).__name__}: {lines[0]}".rstrip(": ")
        _log.warning("%s could not be written (%s); the run itself is unaffected", what, reason)
