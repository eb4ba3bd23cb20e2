"""Rows with named columns from .csv, .tsv, .jsonl and .parquet files, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gptkit.data.readers.csv_files import read_csv
from gptkit.data.readers.file_discovery import file_format
from gptkit.data.readers.jsonl import read_jsonl
from gptkit.data.readers.parquet import open_parquet, parquet_columns, parquet_rows
from gptkit.errors import DataError, did_you_mean

Row = tuple[str, list[Any]]
"""The location of a row (`file:line`, or `file: row n`), and its cells."""

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
OBJECTS = (".jsonl", ".parquet")
"""The formats whose cells may contain lists and objects."""


def read_rows(path: Path, columns: Mapping[str, str], *, errors: str = "strict") -> Iterator[Row]:
    """Yield the cells of the given columns, row by row.

    A .csv file follows RFC 4180 (quotes may enclose commas and line ends); in a .tsv file, as in those of GLUE, quotation marks are
    ordinary characters. In both, the first row contains the column names, and every cell is text. The cells of .jsonl and .parquet
    files keep their types; null becomes None.

    Args:
        path: a file whose format `file_format(path, TABLES)` recognises.
        columns: the columns to read, in order, each with its configuration key, for errors.
        errors: for bytes that are not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, its content does not have its format, or a column is missing. The message names the file
            and the line or row.
    """
    form = file_format(path, TABLES) or ".csv"
    if form == ".parquet":
        return _parquet_rows(path, columns, errors)
    return _jsonl_rows(path, columns, errors) if form == ".jsonl" else _csv_rows(path, form, columns, errors)


def column_names(path: Path, *, errors: str = "strict") -> list[str]:
    """Return the columns of a file; for a .jsonl file, the fields of its first object. An empty file has none.

    Raises:
        DataError: the file cannot be read, or its content does not have its format.
    """
    form = file_format(path, TABLES) or ".csv"
    if form == ".parquet":
        return parquet_columns(path)
    if form == ".jsonl":
        return next((list(line.values) for line in read_jsonl(path, errors=errors)), [])
    return next((row for _, row in read_csv(path, form, errors=errors)), [])


def read_objects(path: Path, *, errors: str = "strict") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the location of each row of a .csv, .tsv, .jsonl or .parquet file, and all its cells by column.

    The rows of a .jsonl file may have different columns. Formats: see `read_rows`.

    Raises:
        DataError: see `read_rows`.
    """
    form = file_format(path, TABLES)
    if form in (".csv", ".tsv"):
        yield from _csv_objects(path, form, errors)
        return
    if form == ".parquet":
        names = parquet_columns(path)
        for where, cells in _parquet_rows(path, dict.fromkeys(names, "data.columns"), errors):
            yield where, dict(zip(names, cells, strict=True))
        return
    for line in read_jsonl(path, errors=errors):
        yield line.where, line.select(line.values, errors=errors)


def _csv_rows(path: Path, form: str, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    indices: list[int] | None = None
    for where, row in read_csv(path, form, errors=errors):
        if indices is None:
            indices = _column_indices(where, row, columns)
        else:
            yield where, [row[index] for index in indices]


def _csv_objects(path: Path, form: str, errors: str) -> Iterator[tuple[str, dict[str, Any]]]:
    names: list[str] | None = None
    for where, row in read_csv(path, form, errors=errors):
        if names is None:
            names = row
            _column_indices(where, names, dict.fromkeys(names, "the columns"))
        else:
            yield where, dict(zip(names, row, strict=True))


def _jsonl_rows(path: Path, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    for line in read_jsonl(path, errors=errors):
        if not line.values.keys() >= columns.keys():
            _column_indices(line.where, list(line.values), columns)
        yield line.where, list(line.select(columns, errors=errors).values())


def _parquet_rows(path: Path, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    with open_parquet(path) as file:
        _column_indices(str(path), file.schema_arrow.names, columns)
        for number, cells in parquet_rows(path, file, list(columns), errors=errors):
            yield f"{path}: row {number}", cells


def _column_indices(where: str, names: Iterable[str], columns: Mapping[str, str]) -> list[int]:
    """Return the index of each of `columns` among the names.

    Raises:
        DataError: a column does not occur exactly once.
    """
    available = list(names)
    for column, key in columns.items():
        if available.count(column) != 1:
            problem = "are several columns" if column in available else "is no column"
            near = "" if column in available else did_you_mean(column, available)
            choices = ", ".join(map(str, available)) or "(none)"
            raise DataError(f"{where}: there {problem} {column}; {key} can be one of: {choices}.{near}")
    return [available.index(column) for column in columns]
