"""A linear head on a frozen model: only the head is trained, on a sample of examples, and the model does not change."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest
import torch

from gptkit.objective import ProbeConfig
from gptkit.objective.classify.probe import sample_per_class
from gptkit.records import Example

MANY = [Example(f"text {index}", "ab"[index % 3 == 0]) for index in range(12)]


def test_a_probe_samples_the_same_number_of_examples_of_each_label(build: Any, source: Any) -> None:
    objective = build(kind=ProbeConfig, examples=2)
    datasets = objective.datasets(source(MANY, MANY), validation_fraction=0.0)
    assert Counter(example.label for example in objective.select_examples(MANY)) == {"a": 2, "b": 2}
    assert (len(datasets["train"]), len(datasets["validation"])) == (4, 12)
    assert len(build(kind=ProbeConfig).datasets(source(MANY), validation_fraction=0.0)["train"]) == 12


def test_the_seed_determines_the_sample(build: Any, source: Any) -> None:
    def chosen(seed: int, examples: int = 2) -> list[str]:
        objective = build(kind=ProbeConfig, examples=examples)
        objective.seed = seed
        objective.datasets(source(MANY), validation_fraction=0.0)
        torch.rand(seed)  # nothing else is trained
        return [example.text for example in objective.select_examples(MANY)]

    assert chosen(3) == chosen(3)
    assert len({tuple(chosen(seed)) for seed in range(20)}) > 10
    assert {text for seed in range(20) for text in chosen(seed)} == {example.text for example in MANY}
    assert set(chosen(5, 1)) < set(chosen(5, 2)) < set(chosen(5, 4))


def test_every_example_of_a_label_is_equally_likely() -> None:
    labels = ["a"] * 3 + ["b"] * 6
    times = Counter(index for seed in range(3000) for index in sample_per_class(labels, 2, seed))
    for index, label in enumerate(labels):
        share = 2 / labels.count(label)
        assert times[index] / 3000 == pytest.approx(share, abs=4 * (share * (1 - share) / 3000) ** 0.5)


def test_a_label_with_fewer_examples_is_named(build: Any, source: Any, caplog: pytest.LogCaptureFixture) -> None:
    numbers = [Example(f"text {index}", label) for index, label in enumerate([1, 1.0, 0, 0, 0])]  # two spellings of the same label
    with caplog.at_level(logging.WARNING, "gptkit"):
        datasets = build(kind=ProbeConfig, examples=3).datasets(source(numbers), validation_fraction=0.0)
    (record,) = caplog.records
    assert record.getMessage() == "objective.examples=3, but the training examples include only 2 of label 1"
    assert len(datasets["train"]) == 5


@pytest.mark.parametrize("task", ["regression", "multiple_choice"])
def test_without_label_names_the_sample_size_is_the_total(task: str, build: Any, source: Any, examples: Any) -> None:
    objective = build(task, kind=ProbeConfig, examples=2)
    assert len(objective.datasets(source(examples[task]), validation_fraction=0.0)["train"]) == 2


def test_a_probe_adds_no_tokens(build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective = build(kind=ProbeConfig)
    end = objective.tokenizer.special["end_of_text"]
    batch = objective.datasets(source(examples["classification"]), validation_fraction=0.0)["train"].batch([1])
    assert batch["tokens"].tolist() == [[[end, *b"dull", end]]]
    assert model_of(objective).vocabulary == objective.tokenizer.size


@pytest.mark.parametrize("task", ["classification", "similarity", "multiple_choice"])
def test_a_probe_trains_only_the_head_without_dropout(task: str, build: Any, model_of: Any, source: Any, examples: Any) -> None:
    objective = build(task, kind=ProbeConfig)
    batch = objective.datasets(source(examples[task]), validation_fraction=0.0)["train"].batch([0, 1, 2])
    model = model_of(objective, dropout=0.5)
    objective.freeze(model)
    model.train()
    terms, measured = objective.loss(model, batch)
    again = objective.loss(model, batch)[1]
    assert torch.equal(measured["outputs"], again["outputs"])
    assert model.training
    terms["task"][1].backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in objective.head.parameters())
    assert terms.keys() == objective.counts(batch).keys() == {"task"}


def test_a_probe_rejects_lm_weight() -> None:
    with pytest.raises(ValueError, match=r"objective\.lm_weight=0\.5: the model of a probe is frozen; set it to 0"):
        ProbeConfig(lm_weight=0.5)
