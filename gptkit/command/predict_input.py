"""The input of `gptkit predict`: rows of files, standard input, or one text."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gptkit.data.parsing.examples import ExampleColumns, parse_examples, read_examples
from gptkit.data.readers.csv_files import parse_csv
from gptkit.data.readers.jsonl import json_object
from gptkit.data.readers.tables import column_names
from gptkit.errors import DataError
from gptkit.records import Example

STANDARD_INPUT = "standard input"


class PredictInput(ABC):
    """Rows with named columns."""

    @abstractmethod
    def has(self, column: str) -> bool:
        """Return whether all rows have this column."""

    @abstractmethod
    def examples(self, columns: ExampleColumns) -> Iterator[Example]:
        """Yield the examples in order.

        Raises:
            DataError: a row is invalid; the message names its file and line.
        """


class FileInput(PredictInput):
    """The rows of one or more files."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def has(self, column: str) -> bool:
        return all(column in column_names(file) for file in self.files)

    def examples(self, columns: ExampleColumns) -> Iterator[Example]:
        return read_examples(self.files, columns)


class RowInput(PredictInput):
    """Rows in memory, each with its location for errors."""

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
    """Return the input for a text on the command line."""
    return RowInput([("example", {column: text})])


def parse_standard_input(content: bytes, column: str) -> RowInput:
    """Parse standard input: JSON objects, a CSV or TSV table whose header has the column of the text, or else one text per line.

    Args:
        content: the bytes of the stream, in UTF-8.
        column: the column of the text.

    Raises:
        DataError: there is no line, or a line cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{STANDARD_INPUT}: not UTF-8 text at byte {error.start}") from None
    if "\0" in text:
        raise DataError(f"{STANDARD_INPUT}: contains a NUL character, so it is not text")
    lines = [(f"{STANDARD_INPUT}:{number}", line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{STANDARD_INPUT}: contains no text")
    first = lines[0][1]
    if first.lstrip().startswith("{"):
        return RowInput([(where, json_object(where, line)) for where, line in lines])
    for form, delimiter in ((".csv", ","), (".tsv", "\t")):
        if column in next(csv.reader([first], delimiter=delimiter)) and (delimiter in first or first == column):
            (_, names), *rows = parse_csv(io.StringIO(text, newline=""), form, source=STANDARD_INPUT)
            return RowInput([(where, dict(zip(names, cells, strict=True))) for where, cells in rows])
    return RowInput([(where, {column: line}) for where, line in lines])
