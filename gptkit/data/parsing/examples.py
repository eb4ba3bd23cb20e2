"""Table rows as labelled examples: a text, a pair of texts, or a text with options."""

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
    """The columns of an example. `options` is one column of lists, or several columns with one option each."""

    text: str
    label: str | None
    """None for unlabelled examples, whose label is then the empty text."""
    pair: str | None = None
    options: tuple[str, ...] = ()
    first_option: int = 0
    """The number of the first option, for labels that are numbers of options."""
    label_means: str = "auto"
    """How a label identifies an option: by its text, column, number or letter; auto: by any of these, if all that apply agree."""
    keys: str = "data."
    """Prefix of the configuration keys text, pair, options and label."""

    def names(self) -> dict[str, str]:
        """Return all columns in a fixed order, with the configuration key of each one."""
        result = {self.text: f"{self.keys}text"}
        options = [(column, f"{self.keys}options") for column in self.options]
        for column, key in [(self.pair, f"{self.keys}pair"), (self.label, f"{self.keys}label"), *options]:
            if column is not None and result.setdefault(column, key) != key:
                raise ConfigError(f"{result[column]} and {key} are both {column}; they must be different columns")
        return result


class UnusableLabel(DataError):
    """The label of a row is missing, or is not one of its options."""


def read_examples(files: Iterable[Path], columns: ExampleColumns, *, errors: str = "strict") -> Iterator[Example]:
    """Yield the examples of table files, in order.

    In .csv and .tsv files, labels are text; in .jsonl and .parquet files, they have the type of the cell, text or number, and true
    and false become text. If there are options, the label becomes the index of the right one.

    Raises:
        DataError: a column is missing, a cell is empty or has the wrong type, the number of options changes, or a label is not one
            of them. The message names the file and the line or row.
    """
    names = columns.names()
    rows = (
        (where, dict(zip(names, cells, strict=True))) for path in files for where, cells in read_rows(path, names, errors=errors)
    )
    yield from parse_examples(rows, columns)


def parse_examples(rows: Iterable[tuple[str, Mapping[str, Any]]], columns: ExampleColumns) -> Iterator[Example]:
    """Yield the examples of rows, in order.

    Args:
        rows: the location of each row, for errors, and its cells by column.
        columns: the columns of an example; every row has them.

    Raises:
        DataError: see `read_examples`, except for missing columns.
    """
    choices: int | None = None
    for where, row in rows:
        text = _text(where, columns.text, row[columns.text])
        pair = None if columns.pair is None else _text(where, columns.pair, row[columns.pair])
        options = _options(where, columns, row)
        if choices is not None and len(options) != choices:
            raise DataError(
                f"{where}: the row has {len(options)} options, but the rows before it have {choices}; "
                "all rows must have the same number"
            )
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
    raise DataError(f"{where}: column {column} holds {type(cell).__name__} instead of text")


def _options(where: str, columns: ExampleColumns, row: Mapping[str, Any]) -> tuple[str, ...]:
    names = columns.options
    if not names:
        return ()
    if len(names) > 1:
        return tuple(_text(where, name, row[name]) for name in names)
    cell = row[names[0]]
    if not isinstance(cell, list):
        raise DataError(
            f"{where}: column {names[0]} holds {type(cell).__name__} instead of a list of options; "
            f"use lists (.jsonl, .parquet), or one column per option: {columns.keys}options=[first,second]"
        )
    if len(cell) < 2:
        raise DataError(f"{where}: column {names[0]} holds {len(cell)} options; at least two are needed")
    return tuple(_text(where, names[0], each) for each in cell)


def _label(where: str, column: str, cell: Any) -> str | int | float:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str) and cell.strip():
        return cell.strip()
    if is_number(cell):
        return cell
    if isinstance(cell, int) or (isinstance(cell, float) and math.isfinite(cell)):
        raise UnusableLabel(f"{where}: column {column} holds a number that is too large: {str(cell)[:12]}...")
    if cell is None or isinstance(cell, str | float):
        raise UnusableLabel(f"{where}: column {column} has no label; drop such rows, or fill them")
    raise UnusableLabel(f"{where}: column {column} holds {type(cell).__name__} instead of a label; a label is a text or a number")


def _option_index(where: str, columns: ExampleColumns, label: str | int | float, options: tuple[str, ...]) -> int:
    """Return the index of the right option. The label is its text, its column, its number or its letter (A for the first)."""
    meanings = _label_meanings(columns, label, options)
    if columns.label_means != "auto":
        meanings = {meaning: index for meaning, index in meanings.items() if meaning == columns.label_means}
    if len(set(meanings.values())) > 1:
        raise UnusableLabel(
            f"{where}: the label {label} can be the {' or the '.join(meanings)} of different options; "
            f"choose one, such as data.label_means={next(iter(meanings))}"
        )
    index = next(iter(meanings.values()), -1)
    if index < 0:
        first, last = columns.first_option, columns.first_option + len(options) - 1
        if columns.label_means != "auto":
            raise UnusableLabel(
                f"{where}: the label {label} is not the {columns.label_means} of any of the {len(options)} options, as "
                f"data.label_means={columns.label_means} requires"
            )
        raise UnusableLabel(
            f"{where}: the label {label} is not one of the {len(options)} options; "
            f"it must be the text or the number of an option, {first} to {last} (data.first_option={first})"
        )
    return index


def _label_meanings(columns: ExampleColumns, label: str | int | float, options: tuple[str, ...]) -> dict[str, int]:
    """Return the possible meanings of a label, each with the index of the option that it identifies."""
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
