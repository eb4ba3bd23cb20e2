"""The loss of a reward model: equation 1 of "Training language models to follow instructions with human feedback".

Shapes: B prompts, K completions of each. `exists` is False for missing completions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gptkit.objective.precision import upcast


def preference_pairs(ranks: Tensor, exists: Tensor) -> Tensor:
    """Return the pairs (i, j) of existing completions in which i has a lower rank than j, that is, is better.

    Args:
        ranks: (B, K) int64, lower is better.
        exists: (B, K) bool.

    Returns:
        (B, K, K) bool.
    """
    return (ranks[:, :, None] < ranks[:, None, :]) & exists[:, :, None] & exists[:, None, :]


def ranking_losses(scores: Tensor, ranks: Tensor, exists: Tensor, margin: float = 0.0) -> Tensor:
    """Return, for each prompt, the mean over its pairs of -log sigmoid(score of the better - score of the worse - margin).

    The mean excludes ties, so that the weight of a prompt does not depend on them; the (K choose 2) of the paper becomes the number
    of pairs without ties. The loss of a prompt without pairs is 0.

    Args:
        scores: (B, K) in any floating dtype; finite, also for missing completions.
        ranks: (B, K) int64, lower is better.
        exists: (B, K) bool.
        margin: margin by which the better completion must score higher.

    Returns:
        (B,) in nats, in at least float32.
    """
    better = preference_pairs(ranks, exists)  # (B, K, K)
    values = upcast(scores)
    losses = -F.logsigmoid(values[:, :, None] - values[:, None, :] - margin)
    return losses.where(better, 0.0).sum((1, 2)) / better.sum((1, 2)).clamp(min=1)
