"""Paired comparison of two results on the same items: differences of metrics, intervals, tests, and Holm's adjustment.

Pairing removes the variance that the items have in common, so a difference can be significant although the intervals of the two
metrics overlap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gptkit.evaluation.intervals import CONFIDENCE, MAX_RESAMPLED, RESAMPLES, SEED
from gptkit.task.base import Columns

Aggregate = Callable[[Columns], dict[str, float]]
Floats = NDArray[np.float64]

SIGN_FLIPS = 9999
"""Random exchanges of a permutation test of means. If all exchanges are fewer, all are computed, and the test is exact."""
EXCHANGES = 999
"""Random exchanges of a permutation test of other metrics, which are aggregated again for each."""
TOLERANCE = 1e-9
"""Relative difference below which two statistics count as equal, because they differ only by rounding."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference of a metric of two results on the same items, b - a."""

    a: float
    b: float
    difference: float
    low: float | None
    """The lower end of the 95% interval of the difference, by the bootstrap over items; None if it is not defined."""
    high: float | None
    p_value: float | None
    """The probability of a difference at least as large, in either direction, if a and b can be exchanged in every item."""
    test: str
    """The test of the p-value: "mcnemar" (scores 0 and 1) or "permutation"."""
    higher: int
    """The number of items for which the metric is higher in b."""
    lower: int
    equal: int
    adjusted_p_value: float | None = None
    """The p-value with Holm's adjustment over tasks; None if the metric is not the main one of its task."""


def paired_differences(a: Columns, b: Columns, aggregate: Aggregate) -> dict[str, PairedDifference]:
    """Compare two results metric by metric.

    A mean of scores 0 and 1 is tested by McNemar's exact test, everything else by a permutation test that exchanges the scores of a
    and b within items. Random numbers have a fixed seed.

    Args:
        a: the scores of the items in a, (N,) each, N at least 1.
        b: those of the same items in b, in the same order.
        aggregate: computes the metrics from the scores of items; see `gptkit.task.base.Task.aggregate`.

    Returns:
        The metrics that both results have, in the order of a.
    """
    metrics_a, metrics_b = _aggregate(aggregate, a), _aggregate(aggregate, b)
    names = [name for name in metrics_a if name in metrics_b]
    means = [name for name in names if _is_mean(name, metrics_a, a) and _is_mean(name, metrics_b, b)]
    others = [name for name in names if name not in means]
    found = {name: _compare_means(a[name], b[name]) for name in means}
    if others:
        found |= _compare_aggregates(a, b, aggregate, {name: (metrics_a[name], metrics_b[name]) for name in others})
    return {name: found[name] for name in names}


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's step-down adjustment, in the same order.

    Source: "A Simple Sequentially Rejective Multiple Test Procedure", section 3. The probability that any true null hypothesis is
    rejected is at most the level, whatever the dependence of the tests.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def adjust_over_tasks(tasks: Mapping[str, Mapping[str, PairedDifference]]) -> dict[str, dict[str, PairedDifference]]:
    """Return the differences of several tasks with Holm's adjustment over their main metrics, which are the first ones."""
    adjusted = {task: dict(differences) for task, differences in tasks.items()}
    main = [
        (task, name, each.p_value)
        for task, (name, each) in ((task, next(iter(differences.items()))) for task, differences in tasks.items() if differences)
        if each.p_value is not None
    ]
    for (task, name, _), value in zip(main, adjust_holm([p_value for *_, p_value in main]), strict=True):
        adjusted[task][name] = replace(adjusted[task][name], adjusted_p_value=value)
    return adjusted


def mcnemar(higher: int, lower: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: higher and lower are equally probable among items that differ."""
    if higher + lower == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(higher, higher + lower).pvalue)


def _compare_means(a: Floats, b: Floats) -> PairedDifference:
    differences = b - a
    higher, lower = int((differences > 0).sum()), int((differences < 0).sum())
    is_binary = bool(np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all())
    p_value = mcnemar(higher, lower) if is_binary else _sign_flip_test(differences)
    resampled = np.concatenate([differences[indices].mean(axis=1) for indices in _resampled_indices(len(a))])
    return PairedDifference(
        float(a.mean()),
        float(b.mean()),
        float(differences.mean()),
        *_interval(resampled),
        p_value,
        "mcnemar" if is_binary else "permutation",
        higher,
        lower,
        len(a) - higher - lower,
    )


def _sign_flip_test(differences: Floats) -> float:
    """Return the two-sided p-value of the mean of the differences, whose signs are random under the null hypothesis."""
    nonzero = differences[differences != 0]
    count = len(nonzero)
    if not count:
        return 1.0
    observed = abs(nonzero.sum()) * (1 - TOLERANCE)
    if 2**count <= SIGN_FLIPS:
        sums = 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1) @ nonzero - nonzero.sum()
        return float((np.abs(sums) >= observed).mean())
    generator = np.random.default_rng(SEED)
    step, extreme = max(1, MAX_RESAMPLED // count), 0
    for begin in range(0, SIGN_FLIPS, step):
        rows = min(step, SIGN_FLIPS - begin)
        bits = np.unpackbits(generator.integers(256, size=(rows, -(-count // 8)), dtype=np.uint8), axis=1, count=count)
        extreme += int((np.abs(2 * (bits @ nonzero) - nonzero.sum()) >= observed).sum())
    return (1 + extreme) / (1 + SIGN_FLIPS)


def _compare_aggregates(
    a: Columns, b: Columns, aggregate: Aggregate, metrics: Mapping[str, tuple[float, float]]
) -> dict[str, PairedDifference]:
    """Compare metrics that are not means of scores, by aggregating resampled and exchanged items."""
    items = len(next(iter(a.values())))
    resampled = [
        _differences(_rows(a, row), _rows(b, row), aggregate, metrics) for indices in _resampled_indices(items) for row in indices
    ]
    observed = {name: abs(value_b - value_a) * (1 - TOLERANCE) for name, (value_a, value_b) in metrics.items()}
    extreme = dict.fromkeys(metrics, 1)
    generator = np.random.default_rng(SEED)
    for _ in range(EXCHANGES):
        exchanged = generator.random(items) < 0.5
        one = {name: np.where(exchanged, b[name], a[name]) for name in a}
        other = {name: np.where(exchanged, a[name], b[name]) for name in a}
        for name, difference in _differences(one, other, aggregate, metrics).items():
            extreme[name] += not abs(difference) < observed[name]  # a difference that is not defined counts, which is conservative
    signs = _item_signs(a, b, aggregate, metrics)
    return {
        name: PairedDifference(
            value_a,
            value_b,
            value_b - value_a,
            *_interval(np.array([each[name] for each in resampled])),
            extreme[name] / (1 + EXCHANGES) if math.isfinite(value_b - value_a) else None,
            "permutation",
            sum(sign > 0 for sign in signs[name]),
            sum(sign < 0 for sign in signs[name]),
            sum(sign == 0 for sign in signs[name]),
        )
        for name, (value_a, value_b) in metrics.items()
    }


def _item_signs(a: Columns, b: Columns, aggregate: Aggregate, names: Mapping[str, object]) -> dict[str, list[int]]:
    """Return for every item whether each metric of this item alone is higher (1), lower (-1) or equal in b."""
    signs: dict[str, list[int]] = {name: [] for name in names}
    for place in range(len(next(iter(a.values())))):
        row = np.array([place])
        for name, difference in _differences(_rows(a, row), _rows(b, row), aggregate, names).items():
            signs[name].append((difference > 0) - (difference < 0))
    return signs


def _differences(a: Columns, b: Columns, aggregate: Aggregate, names: Mapping[str, object]) -> dict[str, float]:
    metrics_a, metrics_b = _aggregate(aggregate, a), _aggregate(aggregate, b)
    return {name: metrics_b.get(name, math.nan) - metrics_a.get(name, math.nan) for name in names}


def _aggregate(aggregate: Aggregate, columns: Columns) -> dict[str, float]:
    with np.errstate(all="ignore"):
        return aggregate(columns)


def _rows(columns: Columns, indices: NDArray[np.int64]) -> Columns:
    return {name: values[indices] for name, values in columns.items()}


def _resampled_indices(items: int) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of resampled items, RESAMPLES rows in all."""
    generator = np.random.default_rng(SEED)
    step = max(1, MAX_RESAMPLED // items)
    for begin in range(0, RESAMPLES, step):
        yield generator.integers(items, size=(min(step, RESAMPLES - begin), items))


def _interval(resampled: Floats) -> tuple[float | None, float | None]:
    finite = resampled[np.isfinite(resampled)]
    if not len(finite):
        return None, None
    low, high = np.quantile(finite, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _is_mean(name: str, metrics: Mapping[str, float], columns: Columns) -> bool:
    return name in columns and metrics[name] == float(columns[name].mean())
