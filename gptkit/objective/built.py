"""What every objective is once built: datasets, counts before the forward pass, and the loss as sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from gptkit.data.built import BuiltData
    from gptkit.model.built import BuiltModel

Batch = dict[str, Tensor]
"""Named tensors whose first dimension is the items of the batch. `tokens` is always there: int64, (B, T), or (B, C, T) where an
item is C sequences."""

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

    def lengths(self) -> NDArray[np.int64] | None:
        """(len,) tokens of each item, where they differ: a batch then holds items of similar length. None: they do not."""
        return None


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
        """The terms of the loss as sums, and what is measured besides, detached.

        Of what is measured, scalars are sums over the batch's items, logged as means. Tensors with a row for each item are kept
        while validating, and given to `judge`.

        The step's loss is the sum over terms of weight * sum / count, the counts taken over all micro-batches and devices.
        """

    def judge(self, kept: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics of a whole validation set, from what `loss` measured of items, on the CPU; they replace scalars so called."""
        return {}

    def prepare(self, model: BuiltModel) -> None:
        """Called once, when model and objective have their weights: what is not to be trained stops requiring gradients here."""

    def transfers(self, model: BuiltModel, name: str) -> bool:
        """Whether the model's weight of this name is taken from `init_from`; otherwise it stays as it was drawn."""
        return True

    def tokens(self, batch: Batch) -> int:
        """How many tokens the batch adds to the run's count, which schedules follow."""
        return batch["tokens"].numel()

    def rollout(self, model: BuiltModel, batch: Batch, *, seed: int) -> Iterable[Batch]:
        """The minibatches of this step, one optimizer update each: a pure function of weights, batch and seed."""
        return [batch]
