"""The names of labels, and the label whose F1 is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.objective import AuxLMConfig
from gptkit.objective.classify.labels import class_names, positive_class
from gptkit.records import Example


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (["0", "1"], "1"),
        (["-1", "1"], "1"),
        (["False", "True"], "True"),
        (["no", "yes"], "yes"),
        (["NEGATIVE", "POSITIVE"], "POSITIVE"),
        (["equivalent", "not_equivalent"], None),  # alphabetical order does not make a label positive
        (["1", "5"], None),  # stars
        (["0", "1", "2"], None),
        (["negative", "neutral", "positive"], None),
    ],
)
def test_the_default_positive_label_is_the_affirmative_one_of_two_opposites(labels: list[str], positive: str | None) -> None:
    assert positive_class("", labels) == (None if positive is None else labels.index(positive))


@pytest.mark.parametrize(
    ("name", "labels", "index"),
    [
        ("equivalent", ["equivalent", "not_equivalent"], 0),
        ("0", ["0", "1"], 0),
        ("neutral", ["contradiction", "entailment", "neutral"], 2),
        ("True", ["false", "true"], 1),  # the command line converts true to a bool
        ("true", ["TRUE", "True", "true"], 2),
    ],
)
def test_the_positive_label_can_be_chosen(name: str, labels: list[str], index: int) -> None:
    assert positive_class(name, labels) == index


@pytest.mark.parametrize(
    ("name", "labels", "near"),
    [
        ("equivalnt", ["equivalent", "other"], "Did you mean equivalent?"),
        ("TRUe", ["True", "true"], "is not one of the 2 labels True, true."),
    ],
)
def test_an_unknown_positive_label_names_the_labels(name: str, labels: list[str], near: str) -> None:
    with pytest.raises(ConfigError, match=rf"objective\.positive={name} is not one of the 2 labels") as caught:
        positive_class(name, labels)
    assert near in str(caught.value)
    assert "\n" not in str(caught.value)


def test_f1_is_that_of_the_positive_label(build: Any, source: Any) -> None:
    examples = [Example("x", "duplicate"), Example("y", "other"), Example("z", "other")]
    kept = {"outputs": torch.eye(2)[[0, 0, 1, 1]], "labels": torch.tensor([0.0, 1.0, 1.0, 1.0])}  # one false duplicate
    result = {}
    for positive in ("", "duplicate", "other"):
        objective = build(positive=positive)
        objective.datasets(source(examples), validation_fraction=0.0)
        result[positive] = objective.compute_metrics(kept)["f1"]
    assert result == {"duplicate": pytest.approx(2 / 3), "other": pytest.approx(4 / 5), "": pytest.approx((2 / 3 + 4 / 5) / 2)}


@pytest.mark.parametrize("task", ["regression", "multiple_choice"])
def test_tasks_without_label_names_reject_a_positive_label(task: str, build: Any, source: Any, examples: Any) -> None:
    with pytest.raises(ValueError, match=rf"objective\.positive=a: labels of {task} have no names"):
        AuxLMConfig(task=task, positive="a")
    with pytest.raises(ConfigError, match=rf"objective\.positive=a: labels of {task} have no names"):
        build(positive="a").datasets(source(examples[task]), validation_fraction=0.0)


def test_an_unknown_positive_label_names_the_nearest_one(build: Any, source: Any, examples: Any) -> None:
    with pytest.raises(ConfigError, match=r"positive=god is not one of the 3 labels bad, good, neither\. Did you mean good\?"):
        build(positive="god").datasets(source(examples["classification"]), validation_fraction=0.0)


def test_1_and_1_0_are_the_same_label() -> None:
    assert class_names([Example("x", 1), Example("y", 1.0), Example("z", 0.5)]) == ["0.5", "1"]
    text = ["0", "0.0", "1.00", "1", "-1.0", "0.50", "1.0.0", ".0", "v1.0"]  # all labels of a .csv file are texts
    assert class_names([Example("x", label) for label in text]) == ["-1", ".0", "0", "0.50", "1", "1.0.0", "v1.0"]
    assert positive_class("1.0", ["0", "1"]) == 1
