"""Rows of tables as labelled examples: a text, a pair of texts, or a text with options."""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptkit.data.readers.tables import read_rows
from gptkit.data.readers.text_lines import is_number
from gptkit.errors import ConfigError, DataError
from gptkit.records import Example


@dataclass(frozen=True)
class ExampleColumns:
    """Which columns hold what. `options` is one column of lists, or several columns of one option each."""

    text: str
    label: str | None
    """None where examples are yet to be labelled; their label is then the empty text."""
    pair: str | None = None
    options: tuple[str, ...] = ()
    first_option: int = 0
    """The number of the first option, where a label is the number of one."""
    label_means: str = "auto"
    """What a label of options is: text, column, number or letter; auto: whichever fits, where all that fit agree."""
    keys: str = "data."
    """What stands before text, pair, options and label in the configuration keys that name the columns."""

    def names(self) -> dict[str, str]:
        """Every column in a fixed order, with the configuration key that names it."""
        result = {self.text: f"{self.keys}text"}
        options = [(column, f"{self.keys}options") for column in self.options]
        for column, key in [(self.pair, f"{self.keys}pair"), (self.label, f"{self.keys}label"), *options]:
            if column is not None and result.setdefault(column, key) != key:
                raise ConfigError(f"{result[column]} and {key} are both {column}; they must be different columns")
        return result


class UnusableLabel(DataError):
    """The label of a row is missing, or is none of its options."""


def read_examples(files: Iterable[Path], columns: ExampleColumns, *, errors: str = "strict") -> Iterator[Example]:
    """The examples of tables, in order.

    Labels are text from .csv and .tsv files, and text or numbers as the file has them from .jsonl and .parquet files (true and
    false become text). Where there are options the label is the place of the right one, counted from 0.

    Raises:
        DataError: a column is missing, a cell is empty or of the wrong type, the number of options changes, or a label is none of
            them: names the file and the line or row.
    """
    names = columns.names()
    rows = (
        (where, dict(zip(names, cells, strict=True))) for path in files for where, cells in read_rows(path, names, errors=errors)
    )
    yield from parse_examples(rows, columns)


def parse_examples(rows: Iterable[tuple[str, Mapping[str, Any]]], columns: ExampleColumns) -> Iterator[Example]:
    """The examples of rows, in order.

    Args:
        rows: where each stands, for errors, and its cells by column.
        columns: which columns hold what; every row has them.

    Raises:
        DataError: as `read_examples`, without missing columns.
    """
    choices: int | None = None
    for where, row in rows:
        text = _text(where, columns.text, row[columns.text])
        pair = None if columns.pair is None else _text(where, columns.pair, row[columns.pair])
        options = _options(where, columns, row)
        if choices is not None and len(options) != choices:
            raise DataError(f"{where}: the row has {len(options)} options, those before it {choices}; all must have as many")
        choices = len(options)
        label = "" if columns.label is None else _label(where, columns.label, row[columns.label])
        if options and columns.label is not None:
            label = _option_index(where, columns, label, options)
        yield Example(text, label, pair=pair, options=options, where=where)


def _text(where: str, column: str, cell: Any) -> str:
    if isinstance(cell, str) and cell.strip():
        return cell
    if cell is None or isinstance(cell, str):
        raise DataError(f"{where}: column {column} is empty; drop such rows, or fill them")
    raise DataError(f"{where}: column {column} holds no text but {type(cell).__name__}")


def _options(where: str, columns: ExampleColumns, row: Mapping[str, Any]) -> tuple[str, ...]:
    names = columns.options
    if not names:
        return ()
    if len(names) > 1:
        return tuple(_text(where, name, row[name]) for name in names)
    cell = row[names[0]]
    if not isinstance(cell, list):
        raise DataError(
            f"{where}: column {names[0]} holds no list of options but {type(cell).__name__}; "
            f"give lists (.jsonl, .parquet), or one column for each option: {columns.keys}options=[first,second]"
        )
    if len(cell) < 2:
        raise DataError(f"{where}: column {names[0]} holds {len(cell)} options; there must be two or more")
    return tuple(_text(where, names[0], each) for each in cell)


def _label(where: str, column: str, cell: Any) -> str | int | float:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str) and cell.strip():
        return cell.strip()
    if is_number(cell):
        return cell
    if isinstance(cell, int) or (isinstance(cell, float) and math.isfinite(cell)):
        raise UnusableLabel(f"{where}: column {column} holds a number that is too large to reckon with: {str(cell)[:12]}...")
    if cell is None or isinstance(cell, str | float):
        raise UnusableLabel(f"{where}: column {column} holds no label; drop such rows, or fill them")
    raise UnusableLabel(f"{where}: column {column} holds no label but {type(cell).__name__}; a label is a text or a number")


def _option_index(where: str, columns: ExampleColumns, label: str | int | float, options: tuple[str, ...]) -> int:
    """The place of the right option: the label is its text, its column, its number or its letter (A for the first)."""
    readings = _label_meanings(columns, label, options)
    if columns.label_means != "auto":
        readings = {means: index for means, index in readings.items() if means == columns.label_means}
    if len(set(readings.values())) > 1:
        raise UnusableLabel(
            f"{where}: the label {label} may be the {' or the '.join(readings)} of different options; "
            f"say which by data.label_means={next(iter(readings))}"
        )
    index = next(iter(readings.values()), -1)
    if index < 0:
        first, last = columns.first_option, columns.first_option + len(options) - 1
        if columns.label_means != "auto":
            raise UnusableLabel(
                f"{where}: the label {label} is not the {columns.label_means} of one of the {len(options)} options, which is what "
                f"data.label_means={columns.label_means} says it is"
            )
        raise UnusableLabel(
            f"{where}: the label {label} is none of the {len(options)} options; "
            f"it must be the text of one or its number, {first} to {last} (data.first_option={first})"
        )
    return index


def _label_meanings(columns: ExampleColumns, label: str | int | float, options: tuple[str, ...]) -> dict[str, int]:
    """What a label may mean, and the place of the option that it then is."""
    word = str(label)
    stripped = [option.strip() for option in options]
    result: dict[str, int] = {}
    if word in stripped:
        result["text"] = stripped.index(word)
    if len(columns.options) > 1 and word in columns.options:
        result["column"] = columns.options.index(word)
    if word in set(string.ascii_uppercase[: len(options)]):
        result["letter"] = ord(word) - ord("A")
    try:
        index = float(label) - columns.first_option
    except (ValueError, OverflowError):
        return result
    return result | {"number": int(index)} if index in range(len(options)) else result
