"""Confidence intervals of metrics over items, and the smallest difference between two models that the items can detect."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gptkit.evaluation.runner import Results
from gptkit.task.base import Columns

CONFIDENCE = 0.95
RESAMPLES = 1000
SEED = 0
MAX_RESAMPLED = 1 << 22
"""The number of resampled values that are computed at a time: 32 MiB."""
DETECTION = 1.959964 + 0.841621
"""Quantiles of the normal distribution for a two-sided test at 5% that detects a difference with a probability of 80%."""


@dataclass(frozen=True)
class Metric:
    """A metric with its uncertainty; None where there is only one item, or where the metric has no items."""

    value: float
    low: float | None = None
    """The lower end of the 95% interval."""
    high: float | None = None
    minimum_detectable_difference: float | None = None
    """The smallest difference between two models that a test at 5% finds with a probability of 80%, if both models are evaluated
    on this many items and their scores are independent. Scores on the same items are correlated, so smaller ones are found, too."""
    items: int | None = None
    """The number of items of the metric; None: all."""


def no_subsets(scores: Columns) -> Columns:
    """Say that no metric is the mean over a part of the items; see `gptkit.task.base.Task.subset_scores`."""
    return {}


def add_intervals(
    results: Results,
    aggregate: Callable[[Columns], dict[str, float]],
    subset_scores: Callable[[Columns], Columns] = no_subsets,
) -> dict[str, Metric]:
    """Return the metrics with intervals.

    A proportion gets Wilson's score interval, and the mean of metrics of separate items an interval that combines theirs; any other
    metric the percentile bootstrap interval over items.

    Args:
        results: the scores of all items and the metrics.
        aggregate: computes the metrics from the scores of items; see `gptkit.task.base.Task.aggregate`.
        subset_scores: returns the scores of metrics of some items; see `gptkit.task.base.Task.subset_scores`.
    """
    columns = results.columns
    subsets = {name: _subset_metric(values) for name, values in subset_scores(columns).items()}
    items = len(next(iter(columns.values())))
    metrics: dict[str, Metric] = {}
    others: list[str] = []
    for name, value in results.metrics.items():
        values = columns.get(name)
        if name in subsets:
            metrics[name] = subsets[name]
        elif items < 2 or not math.isfinite(value):
            metrics[name] = Metric(value)
        elif values is None and (mean := _mean_of(value, list(subsets.values()))) is not None:
            metrics[name] = mean
        elif values is None or value != float(values.mean()):
            metrics[name] = Metric(value)  # replaced below, in this order
            others.append(name)
        elif np.isin(values, (0.0, 1.0)).all():
            metrics[name] = _proportion(value, int(values.sum()), items)
        else:
            metrics[name] = _mean(value, values)
    resampled = _resampled_metrics(columns, aggregate, items) if others else {}
    for name in others:
        metrics[name] = metric_from_distribution(results.metrics[name], resampled[name])
    return metrics


def _proportion(value: float, successes: int, items: int) -> Metric:
    from scipy.stats import binomtest

    interval = binomtest(successes, items).proportion_ci(CONFIDENCE, method="wilson")
    centre = (successes + 2) / (items + 4)  # does not vanish at 0 and 1
    return Metric(value, float(interval.low), float(interval.high), _detectable(math.sqrt(centre * (1 - centre) / items)))


def _subset_metric(values: NDArray[np.float64]) -> Metric:
    value, items = float(values.mean()), len(values)
    if items < 2:
        return Metric(value, items=items)
    is_proportion = np.isin(values, (0.0, 1.0)).all()
    metric = _proportion(value, int(values.sum()), items) if is_proportion else _mean(value, values)
    return replace(metric, items=items)


def _mean_of(value: float, parts: Sequence[Metric]) -> Metric | None:
    """Return the mean of metrics of separate items, whose errors are independent; None if the value is not their mean.

    The squares of the distances of the ends from the values are added up, as in "Interval estimation for the difference between
    independent proportions" (Newcombe, 1998), method 10. Unlike the bootstrap, it has a width where all scores are the same.
    """
    if not parts or not math.isclose(value, math.fsum(part.value for part in parts) / len(parts), abs_tol=1e-12):
        return None
    below, above, detectable = 0.0, 0.0, 0.0
    for part in parts:
        if part.low is None or part.high is None or part.minimum_detectable_difference is None:
            return None
        below = math.hypot(below, part.value - part.low)
        above = math.hypot(above, part.high - part.value)
        detectable = math.hypot(detectable, part.minimum_detectable_difference)
    count = len(parts)
    return Metric(value, value - below / count, value + above / count, detectable / count)


def _mean(value: float, values: NDArray[np.float64]) -> Metric:
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all values may be equal
        result = bootstrap(
            (values,),
            np.mean,
            n_resamples=RESAMPLES,
            batch=max(1, MAX_RESAMPLED // len(values)),
            method="percentile",
            rng=np.random.default_rng(SEED),
        )
    return metric_from_distribution(value, result.bootstrap_distribution)


def _resampled_metrics(
    columns: Columns, aggregate: Callable[[Columns], dict[str, float]], items: int
) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of resampled items, (RESAMPLES,) each."""
    generator = np.random.default_rng(SEED)
    resampled: list[dict[str, float]] = []
    for _ in range(RESAMPLES):
        indices = generator.integers(items, size=items)
        with np.errstate(all="ignore"):
            resampled.append(aggregate({name: values[indices] for name, values in columns.items()}))
    return {name: np.array([metrics[name] for metrics in resampled]) for name in resampled[0]}


def metric_from_distribution(value: float, resampled: NDArray[np.float64]) -> Metric:
    """Return a metric with the percentile interval of its values for resampled items."""
    finite = resampled[np.isfinite(resampled)]
    if not len(finite):
        return Metric(value)
    low, high = np.quantile(finite, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Metric(value, float(low), float(high), _detectable(float(finite.std(ddof=1)) if len(finite) > 1 else 0.0))


def _detectable(standard_error: float) -> float:
    return DETECTION * math.sqrt(2) * standard_error
