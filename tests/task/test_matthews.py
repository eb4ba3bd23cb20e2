"""Matthews' correlation equals the formula of the four counts, and no threshold has a better one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptkit.task.matthews import best_threshold, matthews


def slow_matthews(accepted: list[bool], acceptable: list[bool]) -> float:
    pairs = list(zip(accepted, acceptable, strict=True))
    tp, tn = pairs.count((True, True)), pairs.count((False, False))
    fp, fn = pairs.count((True, False)), pairs.count((False, True))
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / below if below else 0.0


def test_correlation_equals_the_formula_of_the_four_counts() -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        accepted, acceptable = generator.random(9) < 0.6, generator.random(9) < 0.4
        assert matthews(accepted, acceptable) == pytest.approx(slow_matthews(accepted.tolist(), acceptable.tolist()))
    assert matthews(np.array([True, True]), np.array([True, False])) == 0.0


def test_no_other_threshold_is_better() -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        scores, acceptable = -generator.integers(1, 9, 14).astype(np.float64), generator.random(14) < 0.5
        best = max(slow_matthews((scores >= t).tolist(), acceptable.tolist()) for t in np.arange(-9.5, 1.0, 0.5))
        assert matthews(scores >= best_threshold(scores, acceptable), acceptable) == pytest.approx(best)
