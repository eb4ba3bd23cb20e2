"""The labels of a task: their names and order, and the positive label."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from gptkit.data.readers.text_lines import is_number
from gptkit.errors import ConfigError, DataError, did_you_mean
from gptkit.records import Example

CLASS_TASKS = ("classification", "entailment", "similarity")
"""Tasks whose labels are names."""

MAX_RARE_CLASSES = 1000
"""With more labels than this, and less than two examples per label on average, labels cannot be classes."""

MISSING_NUMBERS = ("nan", "null", "none", "na", "n/a", "inf", "-inf", "<na>")
"""Texts that tables contain instead of a missing number."""

WHOLE_NUMBER = re.compile(r"^(-?[0-9]+)\.0+$")
"""An integer that a table writes with decimals."""

NEGATIVE_OF = {"1": ("0", "-1"), "true": ("false",), "yes": ("no",), "positive": ("negative",), "pos": ("neg",)}
"""Positive labels with their opposites, in lower case. A task with such a pair needs no `objective.positive`."""


def class_names(examples: Sequence[Example]) -> list[str]:
    """Return the distinct labels, sorted.

    Raises:
        DataError: there is only one label, a label is a missing number, or there are too many labels to be classes.
    """
    labels = sorted({class_name(example.label) for example in examples})
    if len(labels) < 2:
        raise DataError(f"all {len(examples)} training examples have the label {labels[0]}; there is nothing to learn")
    if len(labels) > MAX_RARE_CLASSES and len(labels) > len(examples) / 2:
        raise DataError(
            f"the {len(examples):,} training examples have {len(labels):,} different labels ({format_labels(labels)}), "
            "less than two examples per label; if another column has the labels, set data.label=<column>"
        )
    missing = [label for label in labels if label.lower() in MISSING_NUMBERS]
    if missing and are_numbers([label for label in labels if label not in missing]):
        where = next(example.where for example in examples if class_name(example.label) in missing)
        raise DataError(f"{where}: the label {missing[0]} is a missing number; remove such rows, or fill in their labels")
    return labels


def class_name(label: str | float) -> str:
    """Return the name of the class of a label. The numbers 1 and 1.0, and the texts "1" and "1.0", are the same class."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return WHOLE_NUMBER.sub(r"\1", str(label))


def look_like_scores(labels: Sequence[str | float]) -> bool:
    """Return whether labels look like scores: all are numbers, and some have a fraction or are floats."""
    return are_numbers(labels) and any(isinstance(label, float) or not float(label).is_integer() for label in labels)


def are_numbers(labels: Sequence[str | float]) -> bool:
    """Return whether all labels are finite numbers."""
    try:
        return all(math.isfinite(float(label)) for label in labels)
    except ValueError:
        return False


def format_labels(labels: Sequence[str]) -> str:
    """Format the first few labels, for messages."""
    return ", ".join(labels[:8]) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")


def positive_class(name: str, labels: Sequence[str]) -> int | None:
    """Return the number of the label whose F1 is reported, or None if the mean over all labels is reported.

    Args:
        name: `objective.positive`: a label; its case may differ if only one label then matches. Empty: the affirmative label of two
            opposites, otherwise None.
        labels: all labels.

    Raises:
        ConfigError: there is no label of this name.
    """
    if not name:
        lower = [label.lower() for label in labels]
        pairs = ((0, 1), (1, 0)) if len(lower) == 2 else ()
        return next((index for index, other in pairs if lower[other] in NEGATIVE_OF.get(lower[index], ())), None)
    name = class_name(name)
    if name in labels:
        return labels.index(name)
    matches = [index for index, label in enumerate(labels) if label.lower() == name.lower()]
    if len(matches) != 1:
        raise ConfigError(
            f"objective.positive={name} is not one of the {len(labels)} labels {format_labels(labels)}.{did_you_mean(name, labels)}"
        )
    return matches[0]


def label_number(example: Example, where: str, *, task: str, labels: Sequence[str]) -> float:
    """Return the number of an example's label: its index in `labels`, the index of the correct option, or the score.

    Args:
        example: an example of the task.
        where: location of the example, for messages.
        task: one of `gptkit.objective.classify.classification_dataset.TASKS`.
        labels: the names of the classes, if the task has any.

    Raises:
        DataError: no training example has this label, or the task needs a number and the label is not one.
    """
    if task in CLASS_TASKS:
        name = class_name(example.label)
        if name not in labels:
            fix = "add training examples with this label, or remove this example"
            if are_numbers(labels) and len(labels) > 2 and example.pair is not None:
                fix = "if labels are scores, choose objective.task=regression"
            raise DataError(
                f"{where} has the label {example.label}, which no training example has (their labels are "
                f"{format_labels(labels)}); {fix}"
            )
        return float(labels.index(name))
    try:
        number = float(example.label)
    except (ValueError, OverflowError):
        number = math.nan
    if not is_number(number):
        raise DataError(f"{where}: the label {repr(example.label)[:40]} is not a number, but objective.task={task} needs one")
    if task == "multiple_choice" and number not in range(len(example.options)):
        raise DataError(
            f"{where}: the label {example.label} is not the index of one of the {len(example.options)} options, counted from 0"
        )
    return number
