"""Answers and scores from log-probabilities, for GPT-1's zero-shot heuristics.

Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors". Log-probabilities are in
nats: one tensor (T,) per text or option, with the log-probability of each token after all tokens before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def means(log_probabilities: Sequence[Tensor]) -> Tensor:
    """Return the mean of each of N tensors (T,), in nats per token: (N,)."""
    return torch.stack([each.mean() for each in log_probabilities])


def most_probable(options: Sequence[Tensor]) -> int:
    """Return the index of the option with the highest total log-probability (SST-2); the first one if several are equal."""
    return int(torch.stack([each.sum() for each in options]).argmax())


def highest_mean(options: Sequence[Tensor]) -> int:
    """Return the index of the option with the highest mean log-probability (RACE, Winograd); the first one if several are equal."""
    return int(means(options).argmax())


def matthews(accepted: Tensor, acceptable: Tensor) -> float:
    """Return Matthews' correlation of two (N,) bool tensors: 0 for guessing, and if either tensor is constant."""
    counts = ((accepted & acceptable).sum(), accepted.sum(), acceptable.sum())
    return _correlation(*(count.float() for count in counts), total=len(acceptable)).item()


def best_threshold(scores: Tensor, acceptable: Tensor) -> float:
    """Return the threshold on scores to accept with the best Matthews correlation; the highest one if several are equal.

    It lies halfway between two scores, or is the lowest score if all should be accepted.

    Args:
        scores: (N,) mean log-probabilities, N at least 1.
        acceptable: (N,) bool.
    """
    ordered, order = scores.double().sort(descending=True)
    accepted = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    correlations = _correlation(acceptable[order].double().cumsum(0), accepted, acceptable.double().sum(), total=len(acceptable))
    correlations[:-1][ordered[:-1] == ordered[1:]] = -2.0  # no threshold lies between equal scores
    last = int(correlations.argmax())
    return float(ordered[last]) if last + 1 == len(ordered) else float((ordered[last] + ordered[last + 1]) / 2)


def _correlation(both: Tensor, accepted: Tensor, acceptable: Tensor, *, total: int) -> Tensor:
    """Return Matthews' correlation from counts: accepted and acceptable, accepted, acceptable, and in total."""
    spread = (accepted * (total - accepted) * acceptable * (total - acceptable)).double().sqrt()
    return torch.where(spread > 0, (both * total - accepted * acceptable) / spread.clamp(min=1e-300), torch.zeros_like(spread))


def normalised(score: float, *, chance_score: float, reference: float) -> float:
    """Normalise a score as in figure 2 (right): random guessing becomes 0, the reference becomes 1."""
    return (score - chance_score) / (reference - chance_score)
