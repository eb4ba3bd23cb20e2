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
        targets = torch.randint(0, 6, (items,), generator=generator).float()  # with ties
        return targets + torch.randn(items, generator=generator), targets
    targets = torch.randint(0, labels, (items,), generator=generator)
    outputs = torch.randn(items, labels, generator=generator)
    outputs[torch.arange(items), targets] += 3 * (torch.rand(items, generator=generator) < right)
    return outputs, targets.float()


def f1_of(label: int, predicted: list[int], targets: list[int]) -> float:
    both = sum(p == t == label for p, t in zip(predicted, targets, strict=True))
    return 2 * both / (predicted.count(label) + targets.count(label))


def correlation(xs: list[float], ys: list[float]) -> float:
    """Pearson's."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return above / math.sqrt(sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys))


def ranks(values: list[float]) -> list[float]:
    """Return ranks from 1. Equal values get the mean of their ranks."""
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def matthews_of_two(predicted: list[int], targets: list[int]) -> float:
    """For two labels, Matthews' correlation is Pearson's."""
    return correlation([float(p) for p in predicted], [float(t) for t in targets])


def matthews_of_many(predicted: list[int], targets: list[int]) -> float:
    """Compute Gorodkin's correlation: that of indicator vectors, over pairs of items."""
    pairs = list(combinations(range(len(predicted)), 2))

    def covariance(one: list[int], other: list[int]) -> float:
        total = 0
        for i, j in pairs:  # sum over labels of the differences of their indicators
            for label in set(predicted) | set(targets):
                total += ((one[i] == label) - (one[j] == label)) * ((other[i] == label) - (other[j] == label))
        return float(total)

    return covariance(predicted, targets) / math.sqrt(covariance(predicted, predicted) * covariance(targets, targets))


def test_metrics_of_two_labels_match_their_formulas() -> None:
    outputs, labels = random_outputs("classification", 60, 2)
    predicted, targets = outputs.argmax(-1).tolist(), labels.int().tolist()
    metrics = compute_metrics("classification", outputs, labels)
    assert list(metrics) == ["accuracy", "accuracy_low", "accuracy_high", "f1", "matthews"]
    assert metrics["accuracy"] == pytest.approx(sum(p == t for p, t in zip(predicted, targets, strict=True)) / 60)
    assert metrics["f1"] == pytest.approx((f1_of(0, predicted, targets) + f1_of(1, predicted, targets)) / 2)
    assert metrics["matthews"] == pytest.approx(matthews_of_two(predicted, targets))


def test_metrics_of_three_labels_match_their_formulas() -> None:
    outputs, labels = random_outputs("entailment", 60, 3)
    predicted, targets = outputs.argmax(-1).tolist(), labels.int().tolist()
    metrics = compute_metrics("entailment", outputs, labels)
    assert metrics["f1"] == pytest.approx(sum(f1_of(label, predicted, targets) for label in range(3)) / 3)
    assert metrics["matthews"] == pytest.approx(matthews_of_many(predicted, targets))


@pytest.mark.parametrize(("labels", "positive"), [(2, 0), (2, 1), (3, 0), (3, 2)])
def test_f1_of_a_positive_label_matches_its_formula(labels: int, positive: int) -> None:
    outputs, numbers = random_outputs("classification", 60, labels)
    predicted, targets = outputs.argmax(-1).tolist(), numbers.int().tolist()
    metrics = compute_metrics("classification", outputs, numbers, positive=positive)
    assert metrics["f1"] == pytest.approx(f1_of(positive, predicted, targets))
    without = compute_metrics("classification", outputs, numbers)
    assert {**metrics, "f1": without["f1"]} == without


def test_multiple_choice_has_only_accuracy() -> None:
    outputs, labels = random_outputs("multiple_choice", 40, 4)
    metrics = compute_metrics("multiple_choice", outputs, labels)
    assert list(metrics) == ["accuracy", "accuracy_low", "accuracy_high"]
    assert metrics["accuracy"] == pytest.approx(float((outputs.argmax(-1) == labels).float().mean()))


@pytest.mark.parametrize("shift", [0.0, 2000.0])  # such as years
def test_metrics_of_regression_match_their_formulas(shift: float) -> None:
    outputs, labels = random_outputs("regression", 50, 1)
    outputs, labels = outputs + shift, labels + shift
    predicted, targets = outputs.double().tolist(), labels.double().tolist()
    metrics = compute_metrics("regression", outputs, labels)
    assert list(metrics) == ["pearson", "pearson_low", "pearson_high", "spearman", "squared_error"]
    assert metrics["pearson"] == pytest.approx(correlation(predicted, targets), abs=1e-6)
    assert metrics["spearman"] == pytest.approx(correlation(ranks(predicted), ranks(targets)), abs=1e-6)
    assert metrics["squared_error"] == pytest.approx(sum((p - t) ** 2 for p, t in zip(predicted, targets, strict=True)) / 50)


@pytest.mark.parametrize(("task", "first"), [("classification", "accuracy"), ("regression", "pearson")])
def test_the_interval_contains_the_metric_and_is_deterministic(task: str, first: str) -> None:
    outputs, labels = random_outputs(task, 200, 2)
    torch.manual_seed(7)
    metrics = compute_metrics(task, outputs, labels)
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    assert compute_metrics(task, outputs, labels) == metrics
    assert torch.equal(torch.rand(3), expected)  # the random state of training is unchanged
    assert metrics[f"{first}_low"] < metrics[first] < metrics[f"{first}_high"]


def test_the_interval_of_accuracy_has_the_width_of_a_binomial() -> None:
    outputs, labels = random_outputs("classification", 1000, 2)
    metrics = compute_metrics("classification", outputs, labels)
    deviation = math.sqrt(metrics["accuracy"] * (1 - metrics["accuracy"]) / 1000)
    assert metrics["accuracy_high"] - metrics["accuracy_low"] == pytest.approx(2 * 1.96 * deviation, rel=0.15)


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
    metrics = compute_metrics(task, outputs, labels)
    assert all(math.isfinite(value) for value in metrics.values())
    assert [metrics[name] for name in ("matthews", "pearson", "spearman") if name in metrics] in ([0.0], [0.0, 0.0])


def test_metrics_need_two_examples() -> None:
    assert compute_metrics("regression", torch.ones(1), torch.ones(1)) == {}
    assert compute_metrics("regression", torch.tensor([1.0, 2.0]), torch.tensor([0.0, 5.0]))["pearson"] == pytest.approx(1.0)
