"""From log-probabilities to answers and scores: the mathematics of GPT-1's zero-shot heuristics.

Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors". Log-probabilities are in
nats, one tensor (T,) per text or option: those of its tokens, given all before.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def means(log_probabilities: Sequence[Tensor]) -> Tensor:
    """N tensors (T,) -> (N,): nats per token."""
    return torch.stack([each.mean() for each in log_probabilities])


def most_probable(options: Sequence[Tensor]) -> int:
    """Of K options, the one whose tokens together are the most probable; the first of equals. For words, SST-2's heuristic."""
    return int(torch.stack([each.sum() for each in options]).argmax())


def highest_mean(options: Sequence[Tensor]) -> int:
    """Of K options, the one with the highest mean log-probability; the first of equals. RACE's and Winograd's heuristic."""
    return int(means(options).argmax())


def matthews(accepted: Tensor, right: Tensor) -> float:
    """Matthews' correlation of two (N,) bool tensors: 0 for guessing, and where all of one are alike."""
    both, a, b = float((accepted & right).sum()), float(accepted.sum()), float(right.sum())
    return _correlation(torch.tensor(both), torch.tensor(a), torch.tensor(b), len(right)).item()


def best_threshold(scores: Tensor, right: Tensor) -> float:
    """The threshold that gives the best Matthews correlation when scores at or above it are accepted; the highest of equals.

    It lies halfway between two scores, or at the lowest where all are to be accepted.

    Args:
        scores: (N,) mean log-probabilities, N at least 1.
        right: (N,) bool: what is acceptable.
    """
    ordered, order = scores.double().sort(descending=True)
    accepted = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    found = _correlation(right[order].double().cumsum(0), accepted, right.double().sum(), len(right))
    found[:-1][ordered[:-1] == ordered[1:]] = -2.0  # equal scores cannot be told apart
    last = int(found.argmax())
    return float(ordered[last]) if last + 1 == len(ordered) else float((ordered[last] + ordered[last + 1]) / 2)


def _correlation(both: Tensor, accepted: Tensor, right: Tensor, total: int) -> Tensor:
    """Matthews' correlation from counts: of those in both, of the accepted, of the right, and of all."""
    spread = (accepted * (total - accepted) * right * (total - right)).double().sqrt()
    return torch.where(spread > 0, (both * total - accepted * right) / spread.clamp(min=1e-300), torch.zeros_like(spread))


def normalised(score: float, *, guess: float, reference: float) -> float:
    """Figure 2 (right): random guessing becomes 0, the reference (the paper: the best single model of its time) becomes 1."""
    return (score - guess) / (reference - guess)
