"""Metrics of labelled tasks against their formulas, and the interval of the first metric."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor

from gptkit.objective.classify.metrics import compute_metrics


def random_outputs(task: str, items: int, labels: int, *, right: float = 0.7) -> tuple[Tensor, Tensor]:
    """Return outputs that are often right, and the targets."""
    generator = torch.Generator().manual_seed(labels)
    if task == "regression":
        wanted = torch.randint(0, 6, (items,), generator=generator).float()  # with ties
        return wanted + torch.randn(items, generator=generator), wanted
    wanted = torch.randint(0, labels, (items,), generator=generator)
    outputs = torch.randn(items, labels, generator=generator)
    outputs[torch.arange(items), wanted] += 3 * (torch.rand(items, generator=generator) < right)
    return outputs, wanted.float()


def f1_of(label: int, result: list[int], wanted: list[int]) -> float:
    both = sum(f == w == label for f, w in zip(result, wanted, strict=True))
    return 2 * both / (result.count(label) + wanted.count(label))


def correlation(xs: list[float], ys: list[float]) -> float:
    """Pearson's."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return above / math.sqrt(sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys))


def ranks(values: list[float]) -> list[float]:
    """Return ranks from 1. Equal values get the mean of their ranks."""
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def matthews_of_two(result: list[int], wanted: list[int]) -> float:
    """For two labels, Matthews' correlation is Pearson's."""
    return correlation([float(f) for f in result], [float(w) for w in wanted])


def matthews_of_many(result: list[int], wanted: list[int]) -> float:
    """Compute Gorodkin's correlation: that of indicator vectors, over pairs of items."""
    pairs = list(combinations(range(len(result)), 2))

    def covariance(one: list[int], other: list[int]) -> float:
        total = 0
        for i, j in pairs:  # sum over labels of the differences of their indicators
            for label in set(result) | set(wanted):
                total += ((one[i] == label) - (one[j] == label)) * ((other[i] == label) - (other[j] == label))
        return float(total)

    return covariance(result, wanted) / math.sqrt(covariance(result, result) * covariance(wanted, wanted))


def test_metrics_of_two_labels_match_their_formulas() -> None:
    outputs, labels = random_outputs("classification", 60, 2)
    result, wanted = outputs.argmax(-1).tolist(), labels.int().tolist()
    judged = compute_metrics("classification", outputs, labels)
    assert list(judged) == ["accuracy", "accuracy_low", "accuracy_high", "f1", "matthews"]
    assert judged["accuracy"] == pytest.approx(sum(f == w for f, w in zip(result, wanted, strict=True)) / 60)
    assert judged["f1"] == pytest.approx((f1_of(0, result, wanted) + f1_of(1, result, wanted)) / 2)
    assert judged["matthews"] == pytest.approx(matthews_of_two(result, wanted))


def test_metrics_of_three_labels_match_their_formulas() -> None:
    outputs, labels = random_outputs("entailment", 60, 3)
    result, wanted = outputs.argmax(-1).tolist(), labels.int().tolist()
    judged = compute_metrics("entailment", outputs, labels)
    assert judged["f1"] == pytest.approx(sum(f1_of(label, result, wanted) for label in range(3)) / 3)
    assert judged["matthews"] == pytest.approx(matthews_of_many(result, wanted))


@pytest.mark.parametrize(("labels", "positive"), [(2, 0), (2, 1), (3, 0), (3, 2)])
def test_f1_of_a_positive_label_matches_its_formula(labels: int, positive: int) -> None:
    outputs, numbers = random_outputs("classification", 60, labels)
    result, wanted = outputs.argmax(-1).tolist(), numbers.int().tolist()
    judged = compute_metrics("classification", outputs, numbers, positive=positive)
    assert judged["f1"] == pytest.approx(f1_of(positive, result, wanted))
    without = compute_metrics("classification", outputs, numbers)
    assert {**judged, "f1": without["f1"]} == without


def test_multiple_choice_has_only_accuracy() -> None:
    outputs, labels = random_outputs("multiple_choice", 40, 4)
    judged = compute_metrics("multiple_choice", outputs, labels)
    assert list(judged) == ["accuracy", "accuracy_low", "accuracy_high"]
    assert judged["accuracy"] == pytest.approx(float((outputs.argmax(-1) == labels).float().mean()))


@pytest.mark.parametrize("shift", [0.0, 2000.0])  # such as years
def test_metrics_of_regression_match_their_formulas(shift: float) -> None:
    outputs, labels = random_outputs("regression", 50, 1)
    outputs, labels = outputs + shift, labels + shift
    result, wanted = outputs.double().tolist(), labels.double().tolist()
    judged = compute_metrics("regression", outputs, labels)
    assert list(judged) == ["pearson", "pearson_low", "pearson_high", "spearman", "squared_error"]
    assert judged["pearson"] == pytest.approx(correlation(result, wanted), abs=1e-6)
    assert judged["spearman"] == pytest.approx(correlation(ranks(result), ranks(wanted)), abs=1e-6)
    assert judged["squared_error"] == pytest.approx(sum((f - w) ** 2 for f, w in zip(result, wanted, strict=True)) / 50)


@pytest.mark.parametrize(("task", "first"), [("classification", "accuracy"), ("regression", "pearson")])
def test_the_interval_contains_the_metric_and_is_deterministic(task: str, first: str) -> None:
    outputs, labels = random_outputs(task, 200, 2)
    torch.manual_seed(7)
    judged = compute_metrics(task, outputs, labels)
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    assert compute_metrics(task, outputs, labels) == judged
    assert torch.equal(torch.rand(3), expected)  # the random state of training is unchanged
    assert judged[f"{first}_low"] < judged[first] < judged[f"{first}_high"]


def test_the_interval_of_accuracy_has_the_width_of_a_binomial() -> None:
    outputs, labels = random_outputs("classification", 1000, 2)
    judged = compute_metrics("classification", outputs, labels)
    deviation = math.sqrt(judged["accuracy"] * (1 - judged["accuracy"]) / 1000)
    assert judged["accuracy_high"] - judged["accuracy_low"] == pytest.approx(2 * 1.96 * deviation, rel=0.15)


@pytest.mark.parametrize(
    ("task", "outputs", "labels"),
    [
        ("classification", torch.eye(2)[[0, 0, 1]], torch.zeros(3)),
        ("classification", torch.eye(2)[[0, 0, 0]], torch.tensor([0.0, 1.0, 1.0])),
        ("entailment", torch.eye(3)[[1, 1, 1]], torch.tensor([0.0, 1.0, 1.0])),
        ("regression", torch.ones(3), torch.tensor([0.0, 1.0, 1.0])),
        ("regression", torch.tensor([0.0, 1.0, 1.5]), torch.ones(3)),
    ],
)
def test_correlations_with_a_constant_are_zero(task: str, outputs: Tensor, labels: Tensor) -> None:
    judged = compute_metrics(task, outputs, labels)
    assert all(math.isfinite(value) for value in judged.values())
    assert [judged[name] for name in ("matthews", "pearson", "spearman") if name in judged] in ([0.0], [0.0, 0.0])


def test_metrics_need_two_examples() -> None:
    assert compute_metrics("regression", torch.ones(1), torch.ones(1)) == {}
    assert compute_metrics("regression", torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0]))["pearson"] == pytest.approx(1.0)
