"""The items that a step reads: a pure function of the seed and the step, independent of the number of devices and workers."""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def step_indices(step: int, *, batch: int, items: int, seed: int, order_of: Order | None = None) -> NDArray[np.int64]:
    """Return the items of a step, (batch,) int64: item i of epoch e is e * items + i. Each device takes its slice.

    The items of all epochs are concatenated, each epoch in its own order, so a batch may start in one epoch and end in a later one.

    Args:
        step: number of the step, from 0.
        batch: items per step, over all devices.
        items: items per epoch.
        seed: determines the orders.
        order_of: returns the order of an epoch; by default a random one.
    """
    indices = np.arange(step * batch, (step + 1) * batch)
    epochs, indices = np.divmod(indices, items)
    first, last = int(epochs[0]), int(epochs[-1])
    result = epochs * items
    for epoch in range(first, last + 1):
        in_epoch = epochs == epoch
        order = epoch_order(epoch, items=items, seed=seed) if order_of is None else order_of(epoch)
        result[in_epoch] += order[indices[in_epoch]]
    return result


@functools.lru_cache(maxsize=4)
def epoch_order(epoch: int, *, items: int, seed: int) -> NDArray[np.int64]:
    """Return the order in which an epoch reads its items, (items,) int64, read-only.

    It sorts the raw numbers of a Philox generator keyed by seed and epoch. numpy guarantees these numbers across versions, which it
    does not for its shuffles.
    """
    key = np.array([seed % 2**64, epoch], dtype=np.uint64)
    result = np.argsort(np.random.Philox(key=key).random_raw(items), kind="stable")
    result.flags.writeable = False
    return result


class Order(Protocol):
    """The order in which an epoch reads its items."""

    def __call__(self, epoch: int) -> NDArray[np.int64]: ...


WINDOW_BATCHES = 64
"""Number of batches within which items are sorted by length: large enough for little padding, small enough for random batches."""


class ByLength:
    """An order in which the items of a step have similar lengths, and the steps follow in random order."""

    def __init__(self, lengths: NDArray[np.int64], *, batch: int, seed: int) -> None:
        """Args:
        lengths: length of each item, (items,).
        batch: items per step, over all devices.
        seed: determines the orders.
        """
        self._lengths, self._batch, self._seed = lengths, batch, seed
        self._known: dict[int, NDArray[np.int64]] = {}

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._known:
            self._known = {known: epoch_order for known, epoch_order in self._known.items() if known == epoch - 1} | {
                epoch: self._order(epoch)
            }
        return self._known[epoch]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        items, batch = len(self._lengths), self._batch
        shuffled = epoch_order(epoch, items=items, seed=self._seed)
        begin = min(-(epoch * items) % batch, items)  # items that complete the last batch of the previous epoch
        whole = (items - begin) // batch * batch
        middle = shuffled[begin : begin + whole]
        sorted_windows = [
            window[np.argsort(self._lengths[window], kind="stable")]
            for window in np.split(middle, range(WINDOW_BATCHES * batch, whole, WINDOW_BATCHES * batch))
        ]
        batches = np.concatenate(sorted_windows).reshape(-1, batch)
        steps = epoch_order(epoch, items=len(batches), seed=self._seed) if len(batches) else np.empty(0, dtype=np.int64)
        return np.concatenate([shuffled[:begin], batches[steps].ravel(), shuffled[begin + whole :]])
