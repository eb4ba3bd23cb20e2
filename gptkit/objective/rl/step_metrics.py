"""Metrics of a whole reinforcement learning step: averaged over all devices, and logged as columns of its minibatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.objective.rollout_objective import Total


def mean_over_step(columns: Mapping[str, Tensor], total: Total) -> dict[str, float]:
    """The mean of each column (B,) over all responses of a step, on all devices."""
    sums = [column.double().sum() for column in columns.values()]
    count = torch.full_like(sums[0], len(next(iter(columns.values()))))
    *totals, count = total(torch.stack([*sums, count])).tolist()
    return {name: value / count for name, value in zip(columns, totals, strict=True)}


def as_columns(values: Mapping[str, float], like: Tensor) -> Batch:
    """Metrics of a whole step as constant columns (B,), so that they are logged with the metrics of its minibatches."""
    return {name: torch.full((len(like),), value, dtype=torch.float32, device=like.device) for name, value in values.items()}


def sum_columns(batch: Batch, names: Sequence[str]) -> dict[str, Tensor]:
    """The sum of each of these columns of a batch."""
    return {name: batch[name].sum() for name in names}
