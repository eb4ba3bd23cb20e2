"""The items of one split as batches: the contract that every objective's data follows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Batch = dict[str, Tensor]
"""Named tensors whose first dimension is the items of the batch. `tokens` is always there: int64, (B, T), or (B, C, T) where an
item is C sequences."""


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

    def longest(self) -> NDArray[np.int64] | None:
        """(len,) the lengths by which items are brought together: by default all tokens of each.

        Those of an item's longest sequence, where a batch has several of an item and pads all to the longest of them.
        """
        return self.lengths()
