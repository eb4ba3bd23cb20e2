"""Rows of named columns from .csv, .tsv, .jsonl and .parquet files, one at a time."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gptkit.data.file_discovery import form_of
from gptkit.data.parquet import open_parquet
from gptkit.data.text_lines import LONGEST_LINE, decoded_lines, json_object, not_utf8, whole_characters
from gptkit.errors import DataError, did_you_mean

Row = tuple[str, list[Any]]
"""Where the row stands (`file:line`, or `file: row n`), and its cells."""

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
OBJECTS = (".jsonl", ".parquet")
"""The formats whose cells may hold lists and objects."""

CSV: dict[str, Any] = {"delimiter": ",", "strict": True}
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}


def read_rows(path: Path, columns: Mapping[str, str], *, errors: str = "strict") -> Iterator[Row]:
    """The cells of the named columns, row by row.

    A .csv file follows RFC 4180 (quotes may enclose commas and line ends); in a .tsv file, as in GLUE's, a quotation mark is a
    character like any other. The first row of both names the columns, and every cell is text. The cells of .jsonl and .parquet
    files have the types that they have there; null is None.

    Args:
        path: a file for which `form_of(path, TABLES)` names a format.
        columns: the wanted columns in their order, each with the configuration key that names it, for errors.
        errors: bytes that are not UTF-8: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, is not what its name says, or lacks a column: names the file and the line or row.
    """
    return READERS[form_of(path, TABLES) or ".csv"](path, columns, errors)


def column_names(path: Path, *, errors: str = "strict") -> list[str]:
    """The columns of a file: of a .jsonl file, the fields of its first object. None where the file is empty.

    Raises:
        DataError: the file cannot be read, or is not what its name says.
    """
    form = form_of(path, TABLES) or ".csv"
    if form == ".parquet":
        return _parquet_names(path)
    if form == ".jsonl":
        lines = ((number, line) for number, line, _ in decoded_lines(path, errors=errors) if line.strip())
        return next((list(json_object(f"{path}:{number}", line)) for number, line in lines), [])
    dialect = CSV if form == ".csv" else TSV
    rows = csv.reader((line for _, line, _ in decoded_lines(path, errors=errors)), **dialect)
    try:
        return next((row for row in rows if row), [])
    except csv.Error as error:
        raise _no_row(f"{path}:1", error) from None


def read_objects(path: Path, *, errors: str = "strict") -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row of a .jsonl or .parquet file stands, and all its cells by column.

    Rows of one .jsonl file may have different columns.

    Raises:
        DataError: as `read_rows`.
    """
    if form_of(path, OBJECTS) == ".parquet":
        names = _parquet_names(path)
        for where, cells in _read_parquet(path, dict.fromkeys(names, "data.columns"), errors):
            yield where, dict(zip(names, cells, strict=True))
        return
    for number, line, _ in decoded_lines(path, errors=errors):
        if line.strip():
            where = f"{path}:{number}"
            yield where, _whole_cells(where, line, json_object(where, line), errors)


def _read_csv(path: Path, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    yield from _separated(path, columns, errors, CSV)


def _read_tsv(path: Path, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    yield from _separated(path, columns, errors, TSV)


csv.field_size_limit(LONGEST_LINE)  # a cell may hold a book; what is too long for a model is cut and counted later


def _separated(path: Path, columns: Mapping[str, str], errors: str, dialect: dict[str, Any]) -> Iterator[Row]:
    rows = csv.reader((line for _, line, _ in decoded_lines(path, errors=errors)), **dialect)
    header: list[str] = []
    places: list[int] = []
    first = 1
    try:
        for row in rows:
            where, first = f"{path}:{first}", rows.line_num + 1
            if not row:  # an empty line
                continue
            if not header:
                header = row
                places = _places(where, header, columns)
                continue
            if len(row) != len(header):
                raise DataError(f"{where}: the row has {len(row)} cells, and the first row names {len(header)} columns")
            yield where, [row[place] for place in places]
    except csv.Error as error:
        raise _no_row(f"{path}:{first}", error) from None


def _no_row(where: str, error: csv.Error) -> DataError:
    if "new-line character" in str(error):
        return DataError(f"{where}: there is a carriage return that ends no line; let lines end in line feeds (tr '\\r' '\\n')")
    return DataError(f"{where}: no row of a table can be read here ({error}); is a quotation mark left open?")


def _read_jsonl(path: Path, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    for number, line, _ in decoded_lines(path, errors=errors):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        content = json_object(where, line)
        if not content.keys() >= columns.keys():
            _places(where, list(content), columns)
        wanted = _whole_cells(where, line, {column: content[column] for column in columns}, errors)
        yield where, list(wanted.values())


def _whole_cells(where: str, line: str, cells: dict[str, Any], errors: str) -> dict[str, Any]:
    """The cells of a line with every text whole, and their names."""
    if "\\u" not in line:  # only an escape can bring half of a surrogate pair
        return cells
    whole = functools.partial(whole_characters, where, errors=errors)
    return {whole(column, field=column): _strings(cell, functools.partial(whole, field=column)) for column, cell in cells.items()}


def _read_parquet(path: Path, columns: Mapping[str, str], errors: str) -> Iterator[Row]:
    row = 0
    with open_parquet(path) as file:
        _places(str(path), file.schema_arrow.names, columns)
        for batch in file.iter_batches(batch_size=256, columns=list(columns)):
            cells = [_values(batch.column(batch.schema.get_field_index(column))) for column in columns]
            for values in zip(*cells, strict=True):
                row += 1
                yield f"{path}: row {row}", [_strings(value, _decoder(f"{path}: row {row}", errors)) for value in values]


def _parquet_names(path: Path) -> list[str]:
    with open_parquet(path) as file:
        return list(file.schema_arrow.names)


def _values(column: Any) -> list[Any]:
    """The values of a column, text as bytes: text in a parquet file may be no UTF-8, which pyarrow does not check."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        column = column.cast(pyarrow.large_binary())
    elif types.is_list(kind) or types.is_large_list(kind):
        inner = kind.value_type
        if types.is_string(inner) or types.is_large_string(inner):
            column = column.cast(pyarrow.large_list(pyarrow.large_binary()))
    values: list[Any] = column.to_pylist()
    return values


def _decoder(where: str, errors: str) -> Callable[[Any], Any]:
    def decode(value: Any) -> Any:
        if not isinstance(value, bytes):
            return value
        try:
            return value.decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise not_utf8(where, error, 0) from None

    return decode


def _strings(cell: Any, change: Callable[[Any], Any]) -> Any:
    """The cell with its texts changed, those of a list or an object too."""
    if isinstance(cell, list):
        return [_strings(each, change) for each in cell]
    if isinstance(cell, dict):
        return {name: _strings(each, change) for name, each in cell.items()}
    return change(cell) if isinstance(cell, str | bytes) else cell


def _places(where: str, names: Iterable[str], columns: Mapping[str, str]) -> list[int]:
    """Where the wanted columns stand among the names."""
    there = list(names)
    for column, key in columns.items():
        if there.count(column) != 1:
            many = "are several columns" if column in there else "is no column"
            near = "" if column in there else did_you_mean(column, there)
            choices = ", ".join(map(str, there)) or "nothing"
            raise DataError(f"{where}: there {many} {column}; {key} can be one of: {choices}.{near}")
    return [there.index(column) for column in columns]


READERS: dict[str, Callable[[Path, Mapping[str, str], str], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
