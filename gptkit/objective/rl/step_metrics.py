"""What is measured of a whole step of reinforcement: averaged over all devices, and carried to the log by its minibatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.objective.rollout_objective import Total


def means(columns: Mapping[str, Tensor], total: Total) -> dict[str, float]:
    """The mean of each column (B,) over all episodes of a step, on all devices."""
    sums = [column.double().sum() for column in columns.values()]
    count = torch.full_like(sums[0], len(next(iter(columns.values()))))
    *found, episodes = total(torch.stack([*sums, count])).tolist()
    return {name: value / episodes for name, value in zip(columns, found, strict=True)}


def everywhere(values: Mapping[str, float], like: Tensor) -> Batch:
    """Numbers of a whole step as a column for each item, so that they are logged with what its minibatches measure."""
    return {name: torch.full((len(like),), value, dtype=torch.float32, device=like.device) for name, value in values.items()}


def logged(batch: Batch, names: Sequence[str]) -> dict[str, Tensor]:
    """The sums over items of these columns of a batch."""
    return {name: batch[name].sum() for name in names}
