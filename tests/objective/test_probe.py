"""A head on a frozen model: what is trained, on which examples, and what stays as it was to the bit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from gptkit.objective import Probe
from gptkit.records import Example


def test_the_first_examples_of_each_label(build: Any, source: Any) -> None:
    many = [Example(f"text {place}", "ab"[place % 3 == 0]) for place in range(12)]
    objective = build(kind=Probe, examples=2)
    datasets = objective.datasets(source(many, many), validation_fraction=0.0)
    chosen = objective.chosen(many)
    assert Counter(example.label for example in chosen) == {"a": 2, "b": 2}
    assert [example.text for example in chosen] == ["text 0", "text 1", "text 2", "text 3"]
    assert (len(datasets["train"]), len(datasets["validation"])) == (4, 12)
    assert len(build(kind=Probe).datasets(source(many), validation_fraction=0.0)["train"]) == 12


@pytest.mark.parametrize("task", ["regression", "multiple_choice"])
def test_where_labels_have_no_names_the_first_examples(task: str, build: Any, source: Any, examples: Any) -> None:
    objective = build(task, kind=Probe, examples=2)
    assert len(objective.datasets(source(examples[task]), validation_fraction=0.0)["train"]) == 2


def test_no_token_is_added(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective = build(kind=Probe)
    end = objective.tokenizer.special["end_of_text"]
    batch = objective.datasets(source(examples["classification"]), validation_fraction=0.0)["train"].batch([1])
    assert batch["tokens"].tolist() == [[[end, *b"dull", end]]]
    assert model_of(objective).vocabulary == objective.tokenizer.size


@pytest.mark.parametrize("task", ["classification", "similarity", "multiple_choice"])
def test_only_the_head_learns_and_without_dropout(task: str, build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective = build(task, kind=Probe)
    batch = objective.datasets(source(examples[task]), validation_fraction=0.0)["train"].batch([0, 1, 2])
    model = model_of(objective, dropout=0.5)
    objective.prepare(model)
    model.train()
    terms, measured = objective.loss(model, batch)
    again = objective.loss(model, batch)[1]
    assert torch.equal(measured["outputs"], again["outputs"])
    assert model.training
    terms["task"][1].backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in objective.head.parameters())
    assert terms.keys() == objective.counts(batch).keys() == {"task"}


@pytest.mark.parametrize(("settings", "key"), [({"lm_weight": 0.5}, "lm_weight"), ({"examples": -1}, "examples")])
def test_settings_that_make_no_probe(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=rf"objective\.{key}="):
        Probe(**settings)
