"""The reader of .csv and .tsv files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gptkit.data.readers.text_lines import MAX_LINE_BYTES, read_lines
from gptkit.errors import DataError

DIALECTS: dict[str, dict[str, Any]] = {
    ".csv": {"delimiter": ",", "strict": True},
    ".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
}
"""The parameters of Python's csv module for each format."""

csv.field_size_limit(MAX_LINE_BYTES)  # cells may be very long; texts too long for a model are truncated and counted later


def read_csv(path: Path, form: str, *, errors: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the location of each row (`file:line`) and its cells. The first row is the header. Skips empty lines.

    Args:
        path: the file.
        form: .csv (RFC 4180: quotes may enclose commas and line ends) or .tsv (quotation marks are ordinary characters).
        errors: for bytes that are not UTF-8, and NUL characters: strict (an error) or replace (with U+FFFD).

    Raises:
        DataError: the file cannot be read, or a row does not have as many cells as the header. The message names the file and the
            line.
    """
    yield from parse_csv((line for _, line, _ in read_lines(path, errors=errors)), form, source=str(path))


def parse_csv(lines: Iterable[str], form: str, *, source: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the location (`source:line`) and the cells of each row, as `read_csv` does.

    Args:
        lines: the lines of a table, with their line ends.
        form: .csv or .tsv.
        source: the name of the input, for locations and errors.

    Raises:
        DataError: a row has another number of cells than the header, or cannot be parsed.
    """
    rows = csv.reader(lines, **DIALECTS[form])
    width = 0
    first_line = 1
    try:
        for row in rows:
            where, first_line = f"{source}:{first_line}", rows.line_num + 1
            if not row:
                continue
            width = width or len(row)
            if len(row) != width:
                raise DataError(f"{where}: the row has {len(row)} cells, but the header has {width} columns")
            yield where, row
    except csv.Error as error:
        where = f"{source}:{first_line}"
        if "new-line character" in str(error):
            message = "there is a carriage return inside a line; convert line ends to line feeds (tr '\\r' '\\n')"
            raise DataError(f"{where}: {message}") from None
        raise DataError(f"{where}: cannot parse the row ({error}); is a quotation mark not closed?") from None
