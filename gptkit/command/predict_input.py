"""What `gptkit predict` labels: the rows of files, what comes through standard input, or one text."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gptkit.data.parsing.examples import ExampleColumns, parse_examples, read_examples
from gptkit.data.readers.jsonl import json_object
from gptkit.data.readers.tables import column_names
from gptkit.errors import DataError
from gptkit.records import Example

STANDARD_INPUT = "standard input"


class PredictInput(ABC):
    """Rows with named columns."""

    @abstractmethod
    def has(self, column: str) -> bool:
        """Whether all rows have this column."""

    @abstractmethod
    def examples(self, columns: ExampleColumns) -> Iterator[Example]:
        """The examples, in order. Raises: DataError: a row cannot be used; says where it stands."""


class FileInput(PredictInput):
    """The rows of tables, file after file."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def has(self, column: str) -> bool:
        return all(column in column_names(file) for file in self.files)

    def examples(self, columns: ExampleColumns) -> Iterator[Example]:
        return read_examples(self.files, columns)


class RowInput(PredictInput):
    """Rows that are in memory, each with where it stands."""

    def __init__(self, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
        self.rows = rows

    def has(self, column: str) -> bool:
        return all(column in row for _, row in self.rows)

    def examples(self, columns: ExampleColumns) -> Iterator[Example]:
        for where, row in self.rows:
            missing = next((column for column in columns.names() if column not in row), None)
            if missing is not None:
                raise DataError(f"{where}: there is no column {missing}; there is {', '.join(row)}")
        return parse_examples(self.rows, columns)


def single_text_input(text: str, column: str) -> RowInput:
    """A text of the command line."""
    return RowInput([("example", {column: text})])


def parse_standard_input(content: bytes, column: str) -> RowInput:
    """Objects of JSON, a table in CSV or TSV whose first line names the column of the text, or else one text a line.

    Args:
        content: of the stream, in UTF-8.
        column: of the text.

    Raises:
        DataError: there is no line, or one cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{STANDARD_INPUT}: not UTF-8 text at byte {error.start}") from None
    if "\0" in text:
        raise DataError(f"{STANDARD_INPUT}: there is a NUL character in it; this is no text")
    lines = [(f"{STANDARD_INPUT}:{number}", line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{STANDARD_INPUT}: there is no text in it")
    first = lines[0][1]
    if first.lstrip().startswith("{"):
        return RowInput([(where, json_object(where, line)) for where, line in lines])
    for delimiter in (",", "\t"):
        if column in next(csv.reader([first], delimiter=delimiter)) and (delimiter in first or first == column):
            return RowInput(_parse_table(text, delimiter))
    return RowInput([(where, {column: line}) for where, line in lines])


def _parse_table(text: str, delimiter: str) -> list[tuple[str, dict[str, Any]]]:
    quoting: Any = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE  # as in the files of these names
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, quoting=quoting)
    rows: list[tuple[str, dict[str, Any]]] = []
    names: list[str] = []
    try:
        for cells in reader:
            where = f"{STANDARD_INPUT}:{reader.line_num}"
            if cells and not names:
                names = cells
            elif cells and len(cells) != len(names):
                raise DataError(f"{where}: the row has {len(cells)} cells, the first line {len(names)}")
            elif cells:
                rows.append((where, dict(zip(names, cells, strict=True))))
    except csv.Error as error:
        where = f"{STANDARD_INPUT}:{reader.line_num}"
        raise DataError(f"{where}: cannot parse the row ({error}); is a quotation mark not closed?") from None
    return rows
