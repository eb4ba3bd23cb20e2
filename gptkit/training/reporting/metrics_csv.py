"""The file metrics.csv of a run. A row is on disk at once. When a run resumes, rows after its checkpoint are removed."""

from __future__ import annotations

import csv
import errno
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.kit_files import DamagedFile
from gptkit.training.reporting.fault_tolerance import LARGEST_NUMBER, read_lines, rewrite_or_move_aside

FILE = "metrics.csv"
COLUMNS = ("step", "tokens", "train/loss", "val/loss", "lr", "grad_norm", "tokens_per_second", "wall_seconds")
"""The first columns of every file. Metrics of the objective (train/<name>, val/<name>) and of callbacks follow as they appear."""


class MetricsFile:
    """A file of one row of numbers per step. A second row of the same step is merged into the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = read_rows(path)
        self._columns = list(rows[0]) if rows else list(COLUMNS)
        self._last: dict[str, str] = rows[-1] if rows else {}
        write_file(path, _text(self._columns, rows))
        self._file = path.open("r+b", buffering=0)
        self._row_start = self._file.seek(0, io.SEEK_END) - (len(_line(self._last.values()).encode()) if rows else 0)

    def add(self, row: Mapping[str, float]) -> None:
        """Write a row, which has at least `step`, without buffering. Columns that are new are added to the file.

        Raises:
            GptkitError: the disk is full.
        """
        texts = {name: _number(value) for name, value in row.items()}
        is_same_step = self._last.get("step") == texts["step"]
        if is_same_step:
            texts = {**self._last, **{name: text for name, text in texts.items() if text}}
        new_columns = [name for name in texts if name not in self._columns]
        if new_columns:
            self._columns += new_columns
            self._file.close()
            rows = read_rows(self.path)
            write_file(self.path, _text(self._columns, rows[:-1] if is_same_step else rows))
            self._file = self.path.open("r+b", buffering=0)
            self._row_start = self._file.seek(0, io.SEEK_END)
        elif is_same_step:
            self._file.seek(self._row_start)
            self._file.truncate()
        else:
            self._row_start = self._file.seek(0, io.SEEK_END)
        self._last = {name: texts.get(name, "") for name in self._columns}
        line = _line(self._last.values()).encode()
        with wrap_os_errors(self.path):
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, "only a part of the row was written")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics.csv as text by column; none if there is no file.

    An incomplete last line is skipped. Damaged rows are skipped with a warning that names them.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[list[dict[str, str]], int]:
    """Return the intact rows and the number of damaged ones."""
    columns: list[str] = []

    def parse(line: str) -> dict[str, str]:
        cells = _cells(line)
        if columns:
            return _row(columns, cells)
        _check_header(cells)
        columns.extend(cells)
        return {}

    rows, damaged = read_lines(path, parse)
    return [row for row in rows if row], damaged


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise DamagedFile(f"is not a valid CSV row ({error})") from error


def _check_header(cells: list[str]) -> None:
    if len(set(cells)) < len(cells) or not {"step", "tokens"} <= set(cells):
        raise DamagedFile("is not a header with the columns step and tokens")


def _row(columns: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(columns):
        raise DamagedFile(f"has {len(cells)} column{'s' if len(cells) != 1 else ''} instead of {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    for name, text in row.items():
        if name in ("step", "tokens"):
            is_valid = _COUNT.fullmatch(text) is not None
        else:
            is_valid = not text or (_NUMBER.fullmatch(text) is not None and not LARGEST_NUMBER < abs(float(text)) < math.inf)
        if not is_valid:
            raise DamagedFile(f"{name} is {text[:40]!r}, which is not a number that a run writes")
    return row


_COUNT = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{1,400})?(?:e[-+]?[0-9]{1,3})?|inf)|nan")


def read_metrics(folder: Path) -> dict[str, list[float]]:
    """Return the columns of a run's metrics.csv, all of the same length, with NaN where a row has no value."""
    rows = read_rows(folder / FILE)
    return {name: [float(row[name]) if row[name] else float("nan") for row in rows] for name in (rows[0] if rows else COLUMNS)}


def last_logged(folder: Path, step: int) -> dict[str, float]:
    """Return the values of this step in a run's metrics.csv; empty if the step was not logged."""
    row = next((row for row in reversed(read_rows(folder / FILE)) if row["step"] == str(step)), {})
    return {name: float(value) for name, value in row.items() if value}


def truncate_metrics(folder: Path, step: int) -> None:
    """Remove the rows of metrics.csv after `step`, from which the run resumes.

    Damaged rows are removed too. If no row can be read, the file is moved aside instead.
    """
    rows, damaged = _read(folder / FILE)
    table = _text(list(rows[0]) if rows else list(COLUMNS), [row for row in rows if int(row["step"]) <= step])
    rewrite_or_move_aside(folder / FILE, table, unreadable=bool(damaged) and not rows)


def _number(value: float) -> str:
    return repr(value)  # the shortest text that reads back as the same number


def _line(cells: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _text(columns: list[str], rows: list[dict[str, str]]) -> str:
    return _line(columns) + "".join(_line([row.get(name, "") for name in columns]) for row in rows)
