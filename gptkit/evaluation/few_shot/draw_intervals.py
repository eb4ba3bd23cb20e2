"""Means of metrics over draws of examples, with intervals that account for items and draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gptkit.evaluation.intervals import RESAMPLES, SEED, Metric, metric_from_distribution, no_subsets
from gptkit.task.base import Columns


@dataclass(frozen=True)
class DrawMetric(Metric):
    """The mean of a metric over draws."""

    standard_deviation: float | None = None
    """The standard deviation over the draws; None if there is only one."""


def add_draw_intervals(
    columns: Sequence[Columns],
    aggregate: Callable[[Columns], dict[str, float]],
    subset_scores: Callable[[Columns], Columns] = no_subsets,
) -> dict[str, DrawMetric]:
    """Return the mean of each metric over the draws, with the percentile bootstrap interval.

    Each resample draws items, which are the same for all draws, and draws, both with replacement.

    Args:
        columns: the scores of the items for each of D draws; all draws have the same items.
        aggregate: computes the metrics from the scores of items; see `gptkit.task.base.Task.aggregate`.
        subset_scores: returns the scores of metrics of some items; see `gptkit.task.base.Task.subset_scores`.
    """
    counts = {name: len(values) for name, values in subset_scores(columns[0]).items()}
    by_draw = [aggregate(each) for each in columns]
    items, draws = len(next(iter(columns[0].values()))), len(columns)
    resampled = _resampled_means(columns, aggregate, items) if items > 1 else []
    metrics = {}
    for name in by_draw[0]:
        values = np.array([each[name] for each in by_draw])
        value = float(values.mean())
        deviation = float(values.std(ddof=1)) if draws > 1 else None
        metric = Metric(value)
        if resampled and math.isfinite(value):
            metric = metric_from_distribution(value, np.array([each[name] for each in resampled]))
        metrics[name] = DrawMetric(
            metric.value, metric.low, metric.high, metric.minimum_detectable_difference, counts.get(name), deviation
        )
    return metrics


def _resampled_means(
    columns: Sequence[Columns], aggregate: Callable[[Columns], dict[str, float]], items: int
) -> list[dict[str, float]]:
    generator = np.random.default_rng(SEED)
    means = []
    for _ in range(RESAMPLES):
        places = generator.integers(items, size=items)
        chosen = generator.integers(len(columns), size=len(columns)).tolist()
        with np.errstate(all="ignore"):
            metrics = {
                draw: aggregate({name: values[places] for name, values in columns[draw].items()}) for draw in sorted(set(chosen))
            }
        means.append({name: float(np.mean([metrics[draw][name] for draw in chosen])) for name in metrics[chosen[0]]})
    return means
