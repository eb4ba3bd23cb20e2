"""The table that `gptkit predict` writes, row by row: .csv, .tsv or .jsonl."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gptkit.errors import ConfigError, GptkitError

if TYPE_CHECKING:
    from gptkit.data.parsing.examples import ExampleColumns
    from gptkit.objective.classify.prediction import Prediction

FORMATS = ("csv", "tsv", "jsonl")
DIGITS = 6
"""Significant digits of a probability or score."""


def table_format(output: Path | None, format: str | None) -> str:
    """The format that the name of the output says, else the one that is asked for, else csv.

    Raises:
        ConfigError: the name says none, or another than is asked for.
    """
    if output is None:
        return format or "csv"
    named = output.suffix.removeprefix(".")
    if named not in FORMATS:
        raise ConfigError(f"output={output} must end with .csv, .tsv or .jsonl")
    if format not in (None, named):
        raise ConfigError(f"output={output} and format={format} contradict each other; leave out one of them")
    return named


@contextlib.contextmanager
def open_prediction_writer(output: Path | None, form: str, names: LabelNames) -> Iterator[Callable[[Prediction], None]]:
    """A function that writes one row. A file appears under its name when all rows are written; none does after an error.

    Args:
        output: the file; None: standard output.
        form: one of `FORMATS`.
        names: of labels or options.

    Raises:
        ConfigError: a label cannot stand in a .tsv file.
        GptkitError: the file cannot be written.
    """
    if form == "tsv" and any(character in label for label in names.texts for character in "\t\r\n"):
        raise ConfigError(
            "format=tsv: a label or a column holds a tab or a line end, which a .tsv file cannot; write .csv or .jsonl"
        )
    if output is None:
        yield _writer(sys.stdout, form, names)
        sys.stdout.flush()
        return
    aside = output.with_name(f".{output.name}.writing")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield _writer(file, form, names)
        os.replace(aside, output)
    except OSError as error:
        raise GptkitError(f"output={output}: cannot be written ({error.strerror})") from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def _writer(file: TextIO, form: str, names: LabelNames) -> Callable[[Prediction], None]:
    if form == "jsonl":
        numbers = itertools.count(1)
        return lambda prediction: _write_line(file, {"row": next(numbers), **_json_object(prediction, names)})
    dialect: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None} if form == "tsv" else {}
    table = csv.writer(file, lineterminator="\n", **dialect)
    rows = 0

    def write_row(prediction: Prediction) -> None:
        nonlocal rows
        if not rows:  # how many options there are is known by the first row
            table.writerow(["row", *_header(prediction, names)])
        rows += 1
        table.writerow([rows, *_cells(prediction, names)])

    return write_row


def _write_line(file: TextIO, content: dict[str, Any]) -> None:
    file.write(json.dumps(content, ensure_ascii=False) + "\n")


class LabelNames:
    """What labels and options are called: labels as they are; options by their columns, or by numbers where one column has all."""

    def __init__(self, labels: list[str], columns: ExampleColumns) -> None:
        """Args:
        labels: of the model, in the order of their probabilities; none for options and scores.
        columns: those that are read.
        """
        self.texts = labels or (list(columns.options) if len(columns.options) > 1 else [])
        self._first, self._means = columns.first_option, "" if labels else columns.label_means

    def __getitem__(self, index: int) -> str | int:
        return self.texts[index] if self.texts else self._first + index

    def answer(self, index: int) -> str | int:
        """What is written as the label: as `data.label_means` says that the run's own labels are written, if it says so."""
        if self._means == "letter" and index < len(string.ascii_uppercase):
            return string.ascii_uppercase[index]
        return self._first + index if self._means == "number" else self[index]


def _header(prediction: Prediction, names: LabelNames) -> list[str]:
    if prediction.score is not None:
        return ["score"]
    return ["label", *(f"p_{names[index]}" for index in range(len(prediction.probabilities)))]


def _cells(prediction: Prediction, names: LabelNames) -> list[Any]:
    if prediction.score is not None:
        return [_round_digits(prediction.score)]
    return [names.answer(prediction.best), *map(_round_digits, prediction.probabilities)]


def _json_object(prediction: Prediction, names: LabelNames) -> dict[str, Any]:
    if prediction.score is not None:
        return {"score": _round_digits(prediction.score)}
    probabilities = {str(names[index]): _round_digits(p) for index, p in enumerate(prediction.probabilities)}
    return {"label": names.answer(prediction.best), "probabilities": probabilities}


def _round_digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
