"""Metrics of a whole reinforcement learning step: averaged over all devices, and logged as columns of its minibatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.objective.base import Mean
from gptkit.objective.rl.policy_loss import approximate_kl
from gptkit.objective.rollout_objective import Total


def mean_over_step(columns: Mapping[str, Tensor], total: Total) -> dict[str, float]:
    """Return the mean of each column (B,) over all responses of a step, on all devices."""
    sums = [column.double().sum() for column in columns.values()]
    count = torch.full_like(sums[0], len(next(iter(columns.values()))))
    *totals, count = total(torch.stack([*sums, count])).tolist()
    return {name: value / count for name, value in zip(columns, totals, strict=True)}


def as_columns(values: Mapping[str, float], like: Tensor) -> Batch:
    """Return metrics of a whole step as constant columns (B,), so that they are logged with the metrics of its minibatches."""
    return {name: torch.full((len(like),), value, dtype=torch.float32, device=like.device) for name, value in values.items()}


def sum_columns(batch: Batch, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the sum of each of these columns of a batch."""
    return {name: batch[name].sum() for name in names}


def policy_metrics(entropy: Tensor, log_probs: Tensor, old_log_probs: Tensor, clipped: Tensor, tokens: Tensor) -> dict[str, Mean]:
    """Return the means over the N response tokens of a minibatch that every clipped policy loss reports.

    Args:
        entropy: (N,) entropies of the policy, in nats.
        log_probs: (N,) log-probabilities of the tokens under the policy.
        old_log_probs: (N,) log-probabilities under the policy that generated them.
        clipped: (N,) whether the loss was clipped.
        tokens: (), N.
    """
    return {
        "entropy": Mean(entropy.detach().sum(), tokens),
        "approximate_kl": Mean(approximate_kl(log_probs.detach(), old_log_probs).sum(), tokens),
        "clip_fraction": Mean(clipped.sum(), tokens),
    }
