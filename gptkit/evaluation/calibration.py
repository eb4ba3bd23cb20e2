"""Calibration: whether options with a probability of 30% are right in 30% of the cases.

The probabilities of the options of an item are the softmax of their scores. All options count, not only the chosen one, as in
figure 8 of "GPT-4 Technical Report".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptkit.evaluation.intervals import Metric, add_intervals
from gptkit.evaluation.runner import Results
from gptkit.task.base import Columns

BINS = 10
EQUAL_WIDTH, EQUAL_MASS = "equal_width", "equal_mass"
ERROR, BRIER = "expected_calibration_error", "brier_score"


@dataclass(frozen=True)
class Bin:
    """The options whose probability is in a range."""

    low: float
    """The lower end of the range; of bins of equal mass, the lowest probability."""
    high: float
    options: int
    probability: float | None
    """The mean probability of the options; None if there are none."""
    frequency: float | None
    """The share of the options that are right."""


@dataclass(frozen=True)
class Calibration:
    """The calibration of a model on the options of all items."""

    options: int
    """The number of options of all items."""
    metrics: dict[str, Metric]
    """The expected calibration error with bins of equal width, that with bins of equal mass, and the Brier score."""
    bins: dict[str, list[Bin]]
    """The bins of equal width, and those of equal mass, which have equally many options."""


def option_probabilities(scores: Sequence[float]) -> tuple[float, ...]:
    """Return the softmax of the scores of the options."""
    values = np.array(scores, dtype=np.float64)
    weights = np.exp(values - values.max())
    return tuple(float(value) for value in weights / weights.sum())


def calibration(probabilities: Sequence[Sequence[float]], targets: Sequence[int]) -> Calibration:
    """Return the calibration.

    Args:
        probabilities: the probability of each option of each item. If there are several draws of examples, the items are repeated
            in the same order; an interval resamples an item with all its draws.
        targets: the number of the right option of each item.
    """
    sizes, draws = [len(each) for each in probabilities], len(probabilities) // len(targets)
    flat = np.array([value for each in probabilities for value in each], dtype=np.float64)
    right = np.zeros(len(flat))
    right[np.cumsum([0, *sizes[:-1]]) + np.tile(np.array(targets), draws)] = 1.0
    items = np.repeat(np.tile(np.arange(len(targets)), draws), sizes)
    assigned = {EQUAL_WIDTH: equal_width_bins(flat), EQUAL_MASS: equal_mass_bins(flat)}
    metrics = {
        ERROR: _error(assigned[EQUAL_WIDTH], flat, right, items),
        f"{ERROR}_{EQUAL_MASS}": _error(assigned[EQUAL_MASS], flat, right, items),
        BRIER: _brier(flat, right, items, draws),
    }
    bins = {
        EQUAL_WIDTH: [_bin(assigned[EQUAL_WIDTH] == n, flat, right, (n / BINS, (n + 1) / BINS)) for n in range(BINS)],
        EQUAL_MASS: [_bin(assigned[EQUAL_MASS] == n, flat, right, None) for n in range(min(BINS, len(flat)))],
    }
    return Calibration(len(flat), metrics, bins)


def equal_width_bins(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the bin of each probability. A bin contains its lower end, and the last one both."""
    inner = np.arange(1, BINS) / BINS
    return np.searchsorted(inner, probabilities, side="right").astype(np.int64)


def equal_mass_bins(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the bin of each probability, if bins have equally many, or one more than others."""
    bins = np.empty(len(probabilities), dtype=np.int64)
    for number, places in enumerate(np.array_split(np.argsort(probabilities, kind="stable"), min(BINS, len(probabilities)))):
        bins[places] = number
    return bins


def _bin(
    is_inside: NDArray[np.bool_], probabilities: NDArray[np.float64], right: NDArray[np.float64], ends: tuple[float, float] | None
) -> Bin:
    inside = probabilities[is_inside]
    low, high = ends or (float(inside.min()), float(inside.max()))
    if not len(inside):
        return Bin(low, high, 0, None, None)
    return Bin(low, high, len(inside), float(inside.mean()), float(right[is_inside].mean()))


def _error(
    bins: NDArray[np.int64], probabilities: NDArray[np.float64], right: NDArray[np.float64], items: NDArray[np.int64]
) -> Metric:
    """Return the mean distance between probability and frequency, weighted by the options of the bins.

    The interval resamples items, whose options stay in their bins.
    """
    count = int(items[-1]) + 1
    columns: dict[str, NDArray[np.float64]] = {
        str(number): _sum_by_item(items, (probabilities - right) * (bins == number), count) for number in range(int(bins.max()) + 1)
    }
    columns["options"] = np.bincount(items, minlength=count).astype(np.float64)

    def error(parts: Columns) -> dict[str, float]:
        distances = (abs(float(values.sum())) for name, values in parts.items() if name != "options")
        return {ERROR: sum(distances) / float(parts["options"].sum())}

    return add_intervals(Results(error(columns), columns, 0, 0), error)[ERROR]


def _brier(probabilities: NDArray[np.float64], right: NDArray[np.float64], items: NDArray[np.int64], draws: int) -> Metric:
    """Return the mean over items and draws of the sum of the squared distances of the probabilities of the options from 0 or 1."""
    columns: Columns = {BRIER: _sum_by_item(items, (probabilities - right) ** 2 / draws, int(items[-1]) + 1)}
    means = {BRIER: float(columns[BRIER].mean())}
    return add_intervals(Results(means, columns, 0, 0), lambda parts: {BRIER: float(parts[BRIER].mean())})[BRIER]


def _sum_by_item(items: NDArray[np.int64], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.bincount(items, values, count).astype(np.float64)
