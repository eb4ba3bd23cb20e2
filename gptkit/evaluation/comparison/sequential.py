"""A paired test that may stop after any item, and the evaluation of two models that stops as soon as it decides.

The differences d of the scores of two models on the same items lie in [-1, 1]. A gambler who bets a fixed share of the capital on
"b is better" multiplies it by 1 + share * d with every item. If b is not better on average, no share makes a profit, so the capital
is a supermartingale, and by Ville's inequality it ever reaches 1 / alpha with a probability of at most alpha. The best share is not
known, so the initial capital is divided equally among shares from 0 to 1; for scores 0 and 1 this is the likelihood ratio of a
uniform mixture of binomial distributions, as in Robbins' tests. Each direction gets half the level.

Source: "Estimating means of bounded random variables by betting" (Waudby-Smith and Ramdas, Journal of the Royal Statistical
Society B, 2024), section 4 (capital processes) and theorem 3 (the hedged capital process, with both directions). The items are
regarded as a sample in random order from a larger population, as in the intervals of a complete evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.answerer import Answerer
from gptkit.evaluation.few_shot.task import permutation
from gptkit.evaluation.intervals import MAX_RESAMPLED
from gptkit.task.base import Task

Floats = NDArray[np.float64]

LEVEL = 0.05
SHARES: Floats = (np.arange(50) + 0.5) / 50
"""The shares of the capital that are bet."""
GROUP = 64
"""Items that are evaluated between two looks at the test."""
GRID = 200
"""Steps of the means on each side of 0 in the search for the ends of an interval."""


@dataclass(frozen=True)
class Decision:
    """The state of the test after some items."""

    better: str | None
    """"a", "b", or None: not decided."""
    items: int
    """The number of items at the decision, or of all items so far."""
    difference: float
    """The mean of the differences b - a of these items."""
    low: float
    """The lower end of the 95% interval, which is valid although the number of items depends on the scores."""
    high: float


@dataclass(frozen=True)
class SequentialResult:
    """The result of an evaluation of two models that stops when it is decided which one is better."""

    metric: str
    a: float
    """The metric of a on the items of the decision."""
    b: float
    decision: Decision
    evaluated: int
    """The number of items that both models answered, in whole groups."""
    total: int
    """The number of all items."""

    @property
    def saved(self) -> int:
        """The number of items that did not have to be evaluated."""
        return self.total - self.evaluated


def log_capital(differences: Floats) -> Floats:
    """Return the logarithm of the capital of a bet on positive differences after each item.

    Args:
        differences: (..., T), between -1 and 1.

    Returns:
        (..., T)
    """
    growth = np.log1p(differences[..., None] * SHARES).cumsum(axis=-2)
    return _log_mean_exp(growth)


def decide(differences: Floats, *, level: float = LEVEL) -> Decision:
    """Test the differences of the scores of the same items, (T,), in the order in which they were computed."""
    bound = math.log(2 / level)
    crossed = {side: np.flatnonzero(log_capital(sign * differences) >= bound) for side, sign in (("b", 1), ("a", -1))}
    first = {side: int(times[0]) for side, times in crossed.items() if len(times)}
    better = min(first, key=lambda side: first[side], default=None)
    used = differences if better is None else differences[: first[better] + 1]
    return Decision(better, len(used), float(used.mean()), *confidence_interval(used, level=level))


def confidence_interval(differences: Floats, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of the means that the test does not reject, rounded outwards to 1 / GRID.

    It holds at any time that depends on the differences so far: these are the intervals of a confidence sequence.
    """
    values, counts = np.unique(differences, return_counts=True)
    means = np.linspace(-1, 1, 2 * GRID + 1)[1:-1]
    step = max(1, MAX_RESAMPLED // (len(values) * len(SHARES)))
    parts = [means[begin : begin + step] for begin in range(0, len(means), step)]
    capital = np.concatenate([_log_capital_against(part, values, counts.astype(np.float64)) for part in parts])
    accepted = means[capital < math.log(2 / level)]
    if not len(accepted):
        return -1.0, 1.0
    return max(-1.0, float(accepted[0]) - 1 / GRID), min(1.0, float(accepted[-1]) + 1 / GRID)


def _log_capital_against(means: Floats, values: Floats, counts: Floats) -> Floats:
    """Return the higher capital of two bets: that the mean of differences is above, or below, each of some means, (M,).

    Shares are relative to the largest bet, which the worst outcome loses.

    Args:
        means: (M,), strictly between -1 and 1.
        values: the distinct differences, (V,).
        counts: how often they occur, (V,).
    """
    above, below = (
        _log_mean_exp(np.einsum("v,mvs->ms", counts, np.log1p(centred[..., None] * SHARES / largest[:, None, None])))
        for centred, largest in ((values - means[:, None], 1 + means), (means[:, None] - values, 1 - means))
    )
    return np.maximum(above, below)


def _log_mean_exp(values: Floats) -> Floats:
    highest = values.max(axis=-1)
    mean: Floats = highest + np.log(np.exp(values - highest[..., None]).mean(axis=-1))
    return mean


def evaluate_until_decided(
    tasks: tuple[Task, Task],
    answerers: tuple[Answerer, Answerer],
    *,
    seed: int = 0,
    batch: int = 0,
    group: int = GROUP,
    progress: Callable[[int, int], None] | None = None,
) -> SequentialResult:
    """Evaluate two models in groups of items, in a random order, until one of them is better at a level of 5%, or to the end.

    Args:
        tasks: the task for each model. They differ only in the examples in context.
        answerers: the two models.
        seed: seed of the order, and of the random numbers of sampled texts.
        batch: see `gptkit.evaluation.runner.evaluate`.
        group: the number of items of a group.
        progress: receives the number of evaluated items, and the number of all items.

    Raises:
        ConfigError: the main metric is not a mean of scores between 0 and 1.
        DataError: there are no items.
    """
    total = len(tasks[0].items())
    if not total:
        raise DataError("the task has no items")
    order = list(permutation(total, seed))
    scores: tuple[list[float], list[float]] = ([], [])
    metric, decision = "", None
    for begin in range(0, total, group):
        positions = order[begin : begin + group]
        for task, answerer, column in zip(tasks, answerers, scores, strict=True):
            metric, values = _main_scores(task, answerer, positions, seed=seed, batch=batch)
            column += values
        if progress is not None:
            progress(len(scores[0]), total)
        decision = decide(np.array(scores[1]) - np.array(scores[0]))
        if decision.better is not None:
            break
    assert decision is not None
    a, b = (float(np.mean(column[: decision.items])) for column in scores)
    return SequentialResult(metric, a, b, decision, len(scores[0]), total)


def _main_scores(task: Task, answerer: Answerer, positions: Sequence[int], *, seed: int, batch: int) -> tuple[str, list[float]]:
    """Return the name of the main metric, and its scores of some items."""
    items = [task.items()[position] for position in positions]
    answered = {place: answers for group in answerer.answer(task, items, seed=seed, batch=batch) for place, answers in group}
    scores = [task.score(item, answered[place]) for place, item in enumerate(items)]
    columns = {name: np.array([each[name] for each in scores], float) for name in scores[0]}
    name, value = next(iter(task.aggregate(columns).items()))
    values = columns.get(name)
    if values is None or value != float(values.mean()) or not ((values >= 0) & (values <= 1)).all():
        raise ConfigError(f"stop=decided needs a metric that is a mean of scores between 0 and 1, which {name} is not; remove it")
    return name, values.tolist()
