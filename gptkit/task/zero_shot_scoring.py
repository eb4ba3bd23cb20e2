"""Turn log-probabilities into answers and scores: the mathematics of GPT-1's zero-shot heuristics.

Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors". Log-probabilities are in
nats: one tensor (T,) per text or option, of each token given all tokens before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def means(log_probabilities: Sequence[Tensor]) -> Tensor:
    """N tensors (T,) -> (N,): nats per token."""
    return torch.stack([each.mean() for each in log_probabilities])


def most_probable(options: Sequence[Tensor]) -> int:
    """Return the index of the option with the highest total log-probability, the first of equals: SST-2's heuristic."""
    return int(torch.stack([each.sum() for each in options]).argmax())


def highest_mean(options: Sequence[Tensor]) -> int:
    """Return the index of the option with the highest mean log-probability, the first of equals: RACE and Winograd."""
    return int(means(options).argmax())


def matthews(accepted: Tensor, right: Tensor) -> float:
    """Matthews' correlation of two (N,) bool tensors: 0 for guessing, and if either tensor is constant."""
    both, a, b = float((accepted & right).sum()), float(accepted.sum()), float(right.sum())
    return _correlation(torch.tensor(both), torch.tensor(a), torch.tensor(b), len(right)).item()


def best_threshold(scores: Tensor, acceptable: Tensor) -> float:
    """Return the threshold with the best Matthews correlation, when scores at or above it are accepted; the highest of equals.

    It lies halfway between two scores, or is the lowest score if all should be accepted.

    Args:
        scores: (N,) mean log-probabilities, N at least 1.
        acceptable: (N,) bool.
    """
    ordered, order = scores.double().sort(descending=True)
    accepted = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    correlations = _correlation(acceptable[order].double().cumsum(0), accepted, acceptable.double().sum(), len(acceptable))
    correlations[:-1][ordered[:-1] == ordered[1:]] = -2.0  # no threshold lies between equal scores
    last = int(correlations.argmax())
    return float(ordered[last]) if last + 1 == len(ordered) else float((ordered[last] + ordered[last + 1]) / 2)


def _correlation(both: Tensor, accepted: Tensor, right: Tensor, total: int) -> Tensor:
    """Matthews' correlation from counts: in both, accepted, right, and in total."""
    spread = (accepted * (total - accepted) * right * (total - right)).double().sqrt()
    return torch.where(spread > 0, (both * total - accepted * right) / spread.clamp(min=1e-300), torch.zeros_like(spread))


def normalised(score: float, *, chance_score: float, reference: float) -> float:
    """Figure 2 (right): random guessing becomes 0, the reference (the paper: the best single model of its time) becomes 1."""
    return (score - chance_score) / (reference - chance_score)
