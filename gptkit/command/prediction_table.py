"""Writes the table of `gptkit predict` row by row, as .csv, .tsv or .jsonl."""

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
    """Return the format by the extension of the output, or else the configured one, or else csv.

    Raises:
        ConfigError: the extension is unknown, or contradicts the configured format.
    """
    if output is None:
        return format or "csv"
    extension = output.suffix.removeprefix(".")
    if extension not in FORMATS:
        raise ConfigError(f"output={output} must end with .csv, .tsv or .jsonl")
    if format not in (None, extension):
        raise ConfigError(f"output={output} and format={format} contradict each other; remove one of them")
    return extension


@contextlib.contextmanager
def open_prediction_writer(output: Path | None, form: str, names: LabelNames) -> Iterator[Callable[[Prediction], None]]:
    """Return a context with a function that writes one row. The file is created atomically when the context ends without error.

    Args:
        output: the file; None: standard output.
        form: one of `FORMATS`.
        names: the names of labels or options.

    Raises:
        ConfigError: a label cannot be written to a .tsv file.
        GptkitError: the file cannot be written.
    """
    if form == "tsv" and any(character in label for label in names.texts for character in "\t\r\n"):
        raise ConfigError(
            "format=tsv: a label or a column contains a tab or a line break, which .tsv files cannot hold; use .csv or .jsonl"
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
        if not rows:  # the first row determines the number of options
            table.writerow(["row", *_header(prediction, names)])
        rows += 1
        table.writerow([rows, *_cells(prediction, names)])

    return write_row


def _write_line(file: TextIO, content: dict[str, Any]) -> None:
    file.write(json.dumps(content, ensure_ascii=False) + "\n")


class LabelNames:
    """Names labels by their texts, and options by their columns, or by numbers if one column holds all options."""

    def __init__(self, labels: list[str], columns: ExampleColumns) -> None:
        """Create the names.

        Args:
            labels: the model's labels in the order of their probabilities; empty for options and scores.
            columns: the columns of the input.
        """
        self.texts = labels or (list(columns.options) if len(columns.options) > 1 else [])
        self._first, self._means = columns.first_option, "" if labels else columns.label_means

    def __getitem__(self, index: int) -> str | int:
        return self.texts[index] if self.texts else self._first + index

    def answer(self, index: int) -> str | int:
        """Return the label to write, in the form that `data.label_means` of the run specifies, if any."""
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
