"""What the labels of a task are called, their order, and which of them is the positive one."""

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
"""More labels than this are no classes where most have one example only."""

MISSING_NUMBERS = ("nan", "null", "none", "na", "n/a", "inf", "-inf", "<na>")
"""What stands in tables for a number that is missing."""

WHOLE_NUMBER = re.compile(r"^(-?[0-9]+)\.0+$")
"""A whole number as text from a table that writes fractions."""

NEGATIVE_OF = {"1": ("0", "-1"), "true": ("false",), "yes": ("no",), "positive": ("negative",), "pos": ("neg",)}
"""Labels that are the positive one beside one of these, in small letters; scikit-learn takes 1 and true."""


def class_names(examples: Sequence[Example]) -> list[str]:
    """The different labels, sorted.

    Raises:
        DataError: there is only one, one stands for a missing number, or there are so many that they are no classes.
    """
    labels = sorted({class_name(example.label) for example in examples})
    if len(labels) < 2:
        raise DataError(f"all {len(examples)} training examples have the label {labels[0]}; there is nothing to tell apart")
    if len(labels) > MAX_RARE_CLASSES and len(labels) > len(examples) / 2:
        raise DataError(
            f"the {len(examples):,} training examples have {len(labels):,} different labels ({format_labels(labels)}), which "
            "leaves nothing to learn of each; are they labels? data.label=<column> names those"
        )
    missing = [label for label in labels if label.lower() in MISSING_NUMBERS]
    if missing and are_numbers([label for label in labels if label not in missing]):
        where = next(example.where for example in examples if class_name(example.label) in missing)
        raise DataError(f"{where}: the label {missing[0]} stands for a number that is missing; drop such rows, or fill them")
    return labels


def class_name(label: str | float) -> str:
    """The name of a class; a number that tables have once as 1 and once as 1.0 is one class, be it a number or text there."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return WHOLE_NUMBER.sub(r"\1", str(label))


def look_like_scores(labels: Sequence[str | float]) -> bool:
    """Whether labels look like scores: all are numbers, and some are fractions or of a type that has fractions (1.0)."""
    return are_numbers(labels) and any(isinstance(label, float) or not float(label).is_integer() for label in labels)


def are_numbers(labels: Sequence[str | float]) -> bool:
    """Whether all labels are numbers."""
    try:
        return all(math.isfinite(float(label)) for label in labels)
    except ValueError:
        return False


def format_labels(labels: Sequence[str]) -> str:
    """The first few labels, for messages."""
    return ", ".join(labels[:8]) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")


def positive_class(wanted: str, labels: Sequence[str]) -> int | None:
    """The number of the label whose F1 is reported; None: the mean over all labels is.

    Args:
        wanted: `objective.positive`: a label, capitals aside where nothing else tells two apart. Empty: the affirmative one of
            two labels that are opposites, else none.
        labels: all of them.

    Raises:
        ConfigError: no label is called so.
    """
    if not wanted:
        small = [label.lower() for label in labels]
        both = ((0, 1), (1, 0)) if len(small) == 2 else ()
        return next((index for index, other in both if small[other] in NEGATIVE_OF.get(small[index], ())), None)
    wanted = class_name(wanted)
    if wanted in labels:
        return labels.index(wanted)
    alike = [index for index, label in enumerate(labels) if label.lower() == wanted.lower()]
    if len(alike) != 1:
        raise ConfigError(
            f"objective.positive={wanted} is none of the {len(labels)} labels {format_labels(labels)}."
            f"{did_you_mean(wanted, labels)}"
        )
    return alike[0]


def label_number(example: Example, where: str, *, task: str, labels: Sequence[str]) -> float:
    """The number of an example's label: its index in `labels`, the index of the right option, or the score.

    Args:
        example: of the task.
        where: where it comes from, for messages.
        task: one of `gptkit.objective.classify.classification_dataset.TASKS`.
        labels: the names of the classes, if the task has any.

    Raises:
        DataError: no training example has this label, or the task needs a number and it is none.
    """
    if task in CLASS_TASKS:
        name = class_name(example.label)
        if name not in labels:
            fix = "label more like it, or leave it out"
            if are_numbers(labels) and len(labels) > 2 and example.pair is not None:
                fix = "if labels are scores, choose objective.task=regression"
            raise DataError(
                f"{where} has the label {example.label}, which no training example has (they have {format_labels(labels)}); {fix}"
            )
        return float(labels.index(name))
    try:
        number = float(example.label)
    except (ValueError, OverflowError):
        number = math.nan
    if not is_number(number):
        raise DataError(f"{where}: its label {repr(example.label)[:40]} is no number, and objective.task={task} wants one")
    if task == "multiple_choice" and number not in range(len(example.options)):
        raise DataError(
            f"{where}: its label {example.label} is no place of one of its {len(example.options)} options, counted from 0"
        )
    return number
