"""The command `predict`: writes labels and probabilities for the rows of a file, and metrics if the file has labels."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.command.predict_input import FileInput, PredictInput, parse_standard_input, single_text_input
from gptkit.command.prediction_table import LabelNames, open_prediction_writer, table_format
from gptkit.data.parsing.examples import ExampleColumns, UnusableLabel
from gptkit.data.readers.file_discovery import find_files
from gptkit.data.readers.tables import TABLES
from gptkit.errors import CheckpointError, ConfigError, DataError
from gptkit.objective.classify.labels import class_name
from gptkit.plugins import registry
from gptkit.terminal import print_text
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.command import PredictCommand
    from gptkit.data import DataConfig
    from gptkit.objective.classify.aux_lm import AuxLM
    from gptkit.objective.classify.prediction import Prediction
    from gptkit.records import Example

PAIRS = ("entailment", "similarity", "regression")
"""Tasks whose examples have two texts."""


def predict(settings: PredictCommand) -> dict[str, float]:
    """Write one row per row of the input. Returns metrics if the input has labels, otherwise an empty dict.

    Raises:
        ConfigError: settings contradict each other, or the output would overwrite the input.
        DataError: the input lacks a column, or a row is invalid.
        CheckpointError: the checkpoint cannot be read, or is not a classifier.
    """
    files = [] if settings.input in (None, "-") else find_files(settings.input, key="input", forms=TABLES)
    output = None if settings.output is None else expand_path(settings.output)
    form = table_format(output, settings.format)
    if output is not None and output.exists() and any(output.samefile(file) for file in files):
        raise ConfigError(f"output={settings.output} is also the input; choose another file")

    from gptkit.data.progress import Progress
    from gptkit.generation.precision import decoding_dtype, prepare_device
    from gptkit.objective.classify.aux_lm import AuxLM
    from gptkit.objective.classify.classification_dataset import warn_about_truncation
    from gptkit.objective.classify.prediction import predict as predictions_of
    from gptkit.training.checkpoints.load import load_objective

    device = prepare_device()
    trained = load_objective(settings.checkpoint)
    objective = trained.objective
    if not isinstance(objective, AuxLM):
        raise CheckpointError(
            f"{settings.checkpoint}: was trained with another objective than aux_lm or probe, so it predicts no labels; "
            "train a classifier from it with gptkit train +gpt1=finetune init_from=<this run> data=labelled data.path=..."
        )
    predict_input, columns = _open_input(settings, objective.task, trained.data, files)
    trained.model.to(device=device, dtype=decoding_dtype(settings.precision, device))
    objective.to(device=device)  # the head stays in full precision: probabilities of eight bits would often be equal
    predictions = predictions_of(trained.model, objective, _read_examples(predict_input, columns), batch=settings.batch)
    comparison = LabelComparison(objective) if columns.label is not None else None
    rows = truncated = 0
    with open_prediction_writer(output, form, LabelNames(objective.labels, columns)) as write:
        with Progress("predicting") as progress:
            for rows, prediction in enumerate(predictions, 1):
                write(prediction)
                truncated += prediction.is_truncated
                if comparison is not None:
                    comparison.add(prediction, rows)
                progress.show(None, f"{rows:,} rows")
        if not rows:
            raise DataError(f"input={settings.input}: has no rows")
    warn_about_truncation(truncated, rows, "input", task=objective.task, context=objective.context)
    if comparison is None:
        return {}
    metrics, line = comparison.result()
    print_text(f"gptkit: {line}", sys.stderr)
    return metrics


def _open_input(
    settings: PredictCommand, task: str, data: dict[str, Any], files: list[Path]
) -> tuple[PredictInput, ExampleColumns]:
    """Return the input and its columns: those of the settings, or else those on which the run was trained.

    Raises:
        ConfigError: `example` is set, and the task needs more than one text.
        DataError: standard input cannot be read.
    """
    training_columns = _training_columns(data) or ExampleColumns(text="text", label="label")
    text = settings.text or training_columns.text
    rows: PredictInput = FileInput(files)
    if settings.example is not None:
        if task != "classification":
            raise ConfigError(
                f"example= is one text, and this model was trained for task={task}, which needs more; "
                "use input=<file>, or input=- with JSON objects"
            )
        rows = single_text_input(settings.example, text)
    elif settings.input == "-":
        rows = parse_standard_input(sys.stdin.buffer.read(), text)
    return rows, _select_columns(settings, task, training_columns, rows)


def _select_columns(settings: PredictCommand, task: str, training: ExampleColumns, rows: PredictInput) -> ExampleColumns:
    options = settings.options or training.options or "options"
    options = (options,) if isinstance(options, str) else tuple(options)
    label = settings.label
    if label == "auto":
        label = training.label if training.label is not None and rows.has(training.label) else None
    return dataclasses.replace(
        training,
        text=settings.text or training.text,
        label=label,
        pair=settings.pair or training.pair or ("pair" if task in PAIRS else None),
        options=options if task == "multiple_choice" else (),
        keys="",
    )


def _training_columns(data: dict[str, Any]) -> ExampleColumns | None:
    """Return the columns of the run's data source; None if it has none, or its plugin is not installed."""
    try:
        source: DataConfig = registry().resolve("data", data)
    except ConfigError:
        return None
    return source.example_columns()


def _read_examples(rows: PredictInput, columns: ExampleColumns) -> Iterator[Example]:
    try:
        yield from rows.examples(columns)
    except UnusableLabel as error:
        raise DataError(f"{error}; or predict without comparison: label=null") from None


class LabelComparison:
    """Compares predictions with the labels of the input: indices of predicted and true labels, or scores."""

    def __init__(self, objective: AuxLM) -> None:
        self.objective, self.task, self.labels = objective, objective.task, objective.labels
        self.numbers = {label: number for number, label in enumerate(objective.labels)}
        self._outputs: list[float] = []
        self._right: list[float] = []
        self._unknown_label = ""

    def add(self, row: Prediction, number: int) -> None:
        """Add the prediction of the row `number`, counted from 1."""
        try:
            label = row.example.label
            right = float(self.numbers[class_name(label)] if self.labels else label)
        except (KeyError, ValueError):
            self._unknown_label = self._unknown_label or f"row {number} has the label {row.example.label!r}"
            return
        self._right.append(right)
        self._outputs.append(row.best if row.score is None else row.score)

    def result(self) -> tuple[dict[str, float], str]:
        """Return the metrics, as in a validation of the run, and a line that describes them. Unknown labels yield no metrics."""
        if self._unknown_label:
            known = f"knows {', '.join(self.labels)}" if self.labels else "predicts numbers"
            return {}, f"not compared with the labels of the input: {self._unknown_label}, and the model {known}"

        import torch

        outputs, right = torch.tensor(self._outputs), torch.tensor(self._right)
        if self.task != "regression":
            outputs = torch.nn.functional.one_hot(
                outputs.long(), max(len(self.labels), int(outputs.max()) + 1, int(right.max()) + 1)
            )
        metrics = self.objective.compute_metrics({"outputs": outputs, "labels": right})
        if not metrics:
            return {}, "not compared with the labels of the input: one row is not enough"
        first, low, high, *others = metrics.items()
        rest = "".join(f", {name} {value:.4f}" for name, value in others)
        return metrics, f"{len(right):,} rows: {first[0]} {first[1]:.4f} (95% interval {low[1]:.4f} to {high[1]:.4f}){rest}"
