"""Matthews' correlation, and the threshold that maximises it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def matthews(accepted: Bools, acceptable: Bools) -> float:
    """Return Matthews' correlation of two arrays (N,): 0 for guessing, and if either array is constant."""
    both, first, second = (np.float64(each.sum()) for each in (accepted & acceptable, accepted, acceptable))
    return float(_correlation(both, first, second, total=len(acceptable)))


def best_threshold(scores: Floats, acceptable: Bools) -> float:
    """Return the threshold on scores to accept with the best Matthews correlation; the highest one if several are equal.

    It lies halfway between two scores, or is the lowest score if all should be accepted.

    Args:
        scores: (N,) mean log-probabilities, N at least 1.
        acceptable: (N,).
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    accepted = np.arange(1, len(scores) + 1, dtype=np.float64)
    both = acceptable[order].astype(np.float64).cumsum()
    correlations = _correlation(both, accepted, np.float64(acceptable.sum()), total=len(acceptable))
    correlations[:-1][ordered[:-1] == ordered[1:]] = -2.0  # no threshold lies between equal scores
    last = int(correlations.argmax())
    return float(ordered[last]) if last + 1 == len(ordered) else float((ordered[last] + ordered[last + 1]) / 2)


def _correlation(both: Floats | np.float64, accepted: Floats | np.float64, acceptable: np.float64, *, total: int) -> Floats:
    """Return Matthews' correlation from counts: accepted and acceptable, accepted, acceptable, and in total."""
    spread = np.sqrt(accepted * (total - accepted) * acceptable * (total - acceptable))
    product: Floats = np.where(spread > 0, (both * total - accepted * acceptable) / np.maximum(spread, 1e-300), 0.0)
    return product
