"""Intervals of metrics: Wilson's for proportions, the bootstrap over items for others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptkit.evaluation.intervals import Metric, add_intervals
from gptkit.evaluation.runner import Results
from gptkit.task.base import Columns


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
