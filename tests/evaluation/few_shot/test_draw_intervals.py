"""Means over draws: the interval is wider where the draws disagree."""

from __future__ import annotations

import numpy as np
import pytest

from gptkit.evaluation.few_shot.draw_intervals import DrawMetric, add_draw_intervals
from gptkit.task.base import Columns


def means(columns: Columns) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in columns.items()}


def metric_of(*draws: list[float]) -> DrawMetric:
    return add_draw_intervals([{"accuracy": np.array(values)} for values in draws], means)["accuracy"]


def width(metric: DrawMetric) -> float:
    assert metric.low is not None and metric.high is not None
    assert metric.low <= metric.value <= metric.high
    return metric.high - metric.low


def test_metric_is_the_mean_over_draws_with_its_standard_deviation() -> None:
    metric = metric_of([1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0])
    assert metric.value == 0.5
    assert metric.standard_deviation == pytest.approx(np.std([0.75, 0.25], ddof=1))


def test_draws_that_disagree_widen_the_interval() -> None:
    agree = metric_of(*[[1.0, 0.0] * 50] * 4)
    disagree = metric_of([1.0] * 100, [0.0] * 100, [1.0] * 100, [0.0] * 100)
    assert agree.value == disagree.value == 0.5
    assert agree.standard_deviation == 0
    assert width(disagree) > 3 * width(agree)


def test_interval_of_equal_draws_is_that_of_the_items() -> None:
    metric = metric_of(*[[1.0, 0.0] * 50] * 5)
    assert width(metric) == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 100), rel=0.1)


def test_one_draw_has_no_standard_deviation() -> None:
    assert metric_of([1.0, 0.0]).standard_deviation is None


def test_one_item_has_no_interval() -> None:
    metric = metric_of([1.0], [0.0])
    assert (metric.value, metric.low, metric.high) == (0.5, None, None)
