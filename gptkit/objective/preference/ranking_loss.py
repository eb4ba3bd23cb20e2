"""The loss of a reward model: equation 1 of "Training language models to follow instructions with human feedback".

Shapes: B prompts, K completions of each, those that are not there marked by `exists`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gptkit.objective.precision import upcast


def preference_pairs(ranks: Tensor, exists: Tensor) -> Tensor:
    """Which completion is better than which: pair (i, j) where i ranks below j, both are there, and they are no tie.

    Args:
        ranks: (B, K) int64, lower is better.
        exists: (B, K) bool.

    Returns:
        (B, K, K) bool.
    """
    return (ranks[:, :, None] < ranks[:, None, :]) & exists[:, :, None] & exists[:, None, :]


def ranking_losses(scores: Tensor, ranks: Tensor, exists: Tensor, margin: float = 0.0) -> Tensor:
    """Of each prompt, the mean over its pairs of -log sigmoid(score of the better - score of the worse - margin).

    Ties are dropped, and the mean is over the pairs that are left: a prompt's weight does not depend on its ties. Where the paper
    writes 1 / (K choose 2), it counts pairs without ties. Without any pair the loss is 0.

    Args:
        scores: (B, K) in any floating dtype, finite also where no completion is.
        ranks: (B, K) int64, lower is better.
        exists: (B, K) bool.
        margin: by how much the better one is to score higher.

    Returns:
        (B,) in at least float32, in nats.
    """
    better = preference_pairs(ranks, exists)  # (B, K, K)
    values = upcast(scores)
    losses = -F.logsigmoid(values[:, :, None] - values[:, None, :] - margin)
    return losses.where(better, 0.0).sum((1, 2)) / better.sum((1, 2)).clamp(min=1)
