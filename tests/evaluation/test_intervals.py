"""Intervals of metrics: Wilson's for proportions, the bootstrap over items for others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptkit.evaluation.few_shot.draw_intervals import add_draw_intervals
from gptkit.evaluation.intervals import Metric, add_intervals
from gptkit.evaluation.report import plain_metrics, results_table
from gptkit.evaluation.runner import Results
from gptkit.task import ArithmeticConfig
from gptkit.task.base import Columns, Task
from gptkit.task.requests import GenerationAnswer


def means(columns: Columns) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in columns.items()}


def intervals(columns: Columns) -> dict[str, Metric]:
    return add_intervals(Results(means(columns), columns, 0, 0), means)


def test_proportion_has_wilsons_interval() -> None:
    values = np.array([1.0] * 8 + [0.0] * 2)
    metric = intervals({"accuracy": values})["accuracy"]
    z, p, n = 1.959964, 0.8, 10
    centre, half = (p + z * z / 2 / n), z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    assert metric.low == pytest.approx((centre - half) / (1 + z * z / n), abs=1e-6)
    assert metric.high == pytest.approx((centre + half) / (1 + z * z / n), abs=1e-6)


def test_perfect_score_still_has_an_interval_and_a_detectable_difference() -> None:
    metric = intervals({"accuracy": np.ones(50)})["accuracy"]
    assert metric.low is not None
    assert metric.high is not None
    assert metric.low < 1.0 <= metric.high + 1e-9
    assert metric.minimum_detectable_difference is not None
    assert metric.minimum_detectable_difference > 0


def test_mean_has_the_interval_of_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 2000)
    metric = intervals({"loss": values})["loss"]
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert metric.low == pytest.approx(metric.value - 1.96 * error, abs=0.2 * error)
    assert metric.high == pytest.approx(metric.value + 1.96 * error, abs=0.2 * error)
    assert metric.minimum_detectable_difference == pytest.approx(2.8016 * math.sqrt(2) * error, rel=0.1)


def test_metric_that_is_no_mean_is_computed_from_resampled_items() -> None:
    columns = {"nats": np.random.default_rng(0).normal(3.0, 1.0, 500)}

    def perplexity(columns: Columns) -> dict[str, float]:
        return {"perplexity": float(np.exp(columns["nats"].mean()))}

    result = add_intervals(Results(perplexity(columns), columns, 0, 0), perplexity)["perplexity"]
    mean = intervals(columns)["nats"]
    assert mean.low is not None
    assert mean.high is not None
    assert result.low == pytest.approx(math.exp(mean.low), rel=0.01)
    assert result.high == pytest.approx(math.exp(mean.high), rel=0.01)


def test_intervals_are_the_same_at_every_call() -> None:
    columns = {"loss": np.random.default_rng(0).normal(size=100)}
    assert intervals(columns) == intervals(columns)


def test_single_item_has_no_interval() -> None:
    assert intervals({"accuracy": np.array([1.0])}) == {"accuracy": Metric(1.0)}


KINDS = ["2D+", "2D-", "3D+", "3D-"]


def arithmetic_scores(right: int) -> tuple[Task, Columns]:
    """50 problems of each of `KINDS`, and the scores if the first `right` problems of 2D+ are solved."""
    task: Task = ArithmeticConfig(kinds=KINDS, examples=50).build()
    texts = [str(item.target) if number < right else "no" for number, item in enumerate(task.items())]
    rows = [task.score(item, [GenerationAnswer(text)]) for item, text in zip(task.items(), texts, strict=True)]
    return task, {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("right", [0, 20])
def test_each_kind_of_problem_has_wilsons_interval_for_its_own_items(right: int) -> None:
    task, columns = arithmetic_scores(right)
    metrics = add_intervals(Results(task.aggregate(columns), columns, 0, 0), task.aggregate, task.subset_scores)
    assert list(metrics) == ["accuracy", *KINDS]
    for kind in KINDS:
        alone = intervals({"accuracy": np.array([1.0] * right + [0.0] * (50 - right)) if kind == "2D+" else np.zeros(50)})[
            "accuracy"
        ]
        assert metrics[kind] == Metric(alone.value, alone.low, alone.high, alone.minimum_detectable_difference, 50)
        assert alone.high is not None and alone.high > 0.05
    accuracy = metrics["accuracy"]
    assert accuracy.value == right / 200
    assert accuracy.low is not None and accuracy.high is not None and accuracy.minimum_detectable_difference is not None
    assert accuracy.low <= accuracy.value < accuracy.high < 0.25
    assert accuracy.minimum_detectable_difference > 0
    rows = [line.split() for line in results_table(metrics, 200).splitlines()]
    assert [row[-1] for row in rows] == ["items", "200", "50", "50", "50", "50"]
    assert ["items" in metric for metric in plain_metrics(metrics).values()] == [False, True, True, True, True]


def test_mean_of_kinds_is_covered_by_its_interval() -> None:
    generator = np.random.default_rng(0)
    shares, covered, trials = np.array([0.02, 0.3, 0.9]), 0, 300

    def by_kind(columns: Columns) -> Columns:
        return {str(number): columns["correct"][columns["kind"] == number] for number in range(3)}

    def aggregate(columns: Columns) -> dict[str, float]:
        accuracies = {kind: float(values.mean()) for kind, values in by_kind(columns).items()}
        return {"accuracy": sum(accuracies.values()) / 3, **accuracies}

    kinds = np.repeat(np.arange(3), (30, 50, 70))
    for _ in range(trials):
        columns: Columns = {"correct": (generator.random(150) < shares[kinds]).astype(float), "kind": kinds.astype(float)}
        metric = add_intervals(Results(aggregate(columns), columns, 0, 0), aggregate, by_kind)["accuracy"]
        assert metric.low is not None and metric.high is not None
        covered += metric.low <= shares.mean() <= metric.high
    assert 0.92 <= covered / trials <= 0.99


def test_draws_count_the_items_of_each_kind() -> None:
    task, columns = arithmetic_scores(20)
    metrics = add_draw_intervals([columns, columns], task.aggregate, task.subset_scores)
    assert [metric.items for metric in metrics.values()] == [None, 50, 50, 50, 50]
