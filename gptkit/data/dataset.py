"""The base class of datasets, which batch the items of one split for an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Batch = dict[str, Tensor]
"""Named tensors whose first dimension is the batch. `tokens` is always included: int64, (B, T), or (B, C, T) if each item consists
of C sequences."""


class Dataset(ABC):
    """The items of one split, from which `batch` builds batches. Item i of epoch e has the index e * len(dataset) + i."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items in an epoch."""

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the batch of these items: a pure function of the indices."""

    def lengths(self) -> NDArray[np.int64] | None:
        """Return the number of tokens of each item, (len,), or None if all are equal. Batches group items of similar length."""
        return None

    def longest(self) -> NDArray[np.int64] | None:
        """Return the lengths by which items are grouped, (len,): by default the `lengths`.

        Datasets whose items consist of several sequences return the length of the longest sequence of each item, since all
        sequences of a batch are padded to the longest.
        """
        return self.lengths()
