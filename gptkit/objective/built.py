"""What every objective is once built: datasets, counts before the forward pass, and the loss as sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from gptkit.data.built import BuiltData
    from gptkit.model.built import BuiltModel

Batch = dict[str, Tensor]
"""Named tensors whose first dimension is the sequences of the batch; `tokens` (B, T) int64 is always there."""

Terms = Mapping[str, tuple[float, Tensor]]
"""Each term of a loss: its weight, and its unaveraged sum (a scalar with a gradient)."""


class Dataset(ABC):
    """The items of one split, and how any of them become a batch. Index i of epoch e is asked for as e * len + i."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of items in an epoch."""

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> Batch:
        """The batch of these items: a pure function of the indices."""


class BuiltObjective(nn.Module, ABC):
    """An objective that has parameters of its own (a head) registers them; they are trained and saved with the model."""

    @abstractmethod
    def datasets(self, data: BuiltData, *, validation_fraction: float) -> dict[str, Dataset]:
        """The datasets "train" and "validation" (the latter absent when nothing is held out).

        A source that brings a validation split keeps it; otherwise `validation_fraction` of the source is cut off.
        """

    @abstractmethod
    def counts(self, batch: Batch) -> dict[str, int]:
        """For each term of the loss, how many things (tokens, sequences, pairs) it averages over. No forward pass."""

    @abstractmethod
    def loss(self, model: BuiltModel, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        """The terms of the loss as sums, and metrics as sums over the batch's sequences (detached scalars).

        The step's loss is the sum over terms of weight * sum / count, the counts taken over all micro-batches and devices.
        """

    def tokens(self, batch: Batch) -> int:
        """How many tokens the batch adds to the run's count, which schedules follow."""
        return batch["tokens"].numel()

    def rollout(self, model: BuiltModel, batch: Batch, *, seed: int) -> Iterable[Batch]:
        """The minibatches of this step, one optimizer update each: a pure function of weights, batch and seed."""
        return [batch]
