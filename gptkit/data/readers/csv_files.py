"""The reader of .csv and .tsv files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gptkit.data.readers.text_lines import MAX_LINE_BYTES, read_lines
from gptkit.errors import DataError

DIALECTS: dict[str, dict[str, Any]] = {
    ".csv": {"delimiter": ",", "strict": True},
    ".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
}
"""How Python's csv module reads each format."""

csv.field_size_limit(MAX_LINE_BYTES)  # a cell may hold a book; texts too long for a model are truncated and counted later


def read_csv(path: Path, form: str, *, errors: str) -> Iterator[tuple[str, list[str]]]:
    """Where each row stands (`file:line`), and its cells; the first row is the header. Skips empty lines.

    Args:
        form: .csv (RFC 4180: quotes may enclose commas and line ends) or .tsv (a quotation mark is a character like any other).
        errors: bytes that are not UTF-8, and NUL characters: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or a row has another number of cells than the header; names the file and the line.
    """
    rows = csv.reader((line for _, line, _ in read_lines(path, errors=errors)), **DIALECTS[form])
    width = 0
    first_line = 1
    try:
        for row in rows:
            where, first_line = f"{path}:{first_line}", rows.line_num + 1
            if not row:
                continue
            width = width or len(row)
            if len(row) != width:
                raise DataError(f"{where}: the row has {len(row)} cells, and the first row names {width} columns")
            yield where, row
    except csv.Error as error:
        where = f"{path}:{first_line}"
        if "new-line character" in str(error):
            message = "there is a carriage return that ends no line; let lines end in line feeds (tr '\\r' '\\n')"
            raise DataError(f"{where}: {message}") from None
        raise DataError(f"{where}: cannot read a row of a table here ({error}); is a quotation mark left open?") from None
