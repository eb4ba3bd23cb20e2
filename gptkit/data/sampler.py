"""Which items a step reads: a pure function of the seed and the number of the step, whatever the number of devices and workers."""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def step_indices(step: int, *, batch: int, items: int, seed: int, order_of: Order | None = None) -> NDArray[np.int64]:
    """(batch,) int64: the items of a step, item i of epoch e as e * items + i. Each device takes its slice.

    Steps lay the epochs' items end to end, each epoch in its own order, so a batch may begin in one epoch and end in a later one.

    Args:
        step: from 0.
        batch: items of a step, over all devices.
        items: items of an epoch.
        seed: decides the orders.
        order_of: the order of an epoch; by default a random one.
    """
    indices = np.arange(step * batch, (step + 1) * batch)
    epochs, indices = np.divmod(indices, items)
    first, last = int(epochs[0]), int(epochs[-1])
    result = epochs * items
    for epoch in range(first, last + 1):
        here = epochs == epoch
        read = epoch_order(epoch, items=items, seed=seed) if order_of is None else order_of(epoch)
        result[here] += read[indices[here]]
    return result


@functools.lru_cache(maxsize=4)
def epoch_order(epoch: int, *, items: int, seed: int) -> NDArray[np.int64]:
    """(items,) int64: the order in which an epoch reads its items, read-only.

    The ranks of Philox's raw numbers, keyed by seed and epoch: numpy promises that these stay the same in later versions, which it
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
"""Batches among which items of similar length are brought together: enough for little padding, few enough for random batches."""


class ByLength:
    """An epoch's order in which the items of a step have similar lengths, and the steps any."""

    def __init__(self, lengths: NDArray[np.int64], *, batch: int, seed: int) -> None:
        """Args:
        lengths: (items,) of each item.
        batch: items of a step, over all devices.
        seed: decides the orders.
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
        begin = min(-(epoch * items) % batch, items)  # the items that complete the batch in which the epoch before ended
        whole = (items - begin) // batch * batch
        middle = shuffled[begin : begin + whole]
        sorted_windows = [
            window[np.argsort(self._lengths[window], kind="stable")]
            for window in np.split(middle, range(WINDOW_BATCHES * batch, whole, WINDOW_BATCHES * batch))
        ]
        batches = np.concatenate(sorted_windows).reshape(-1, batch)
        steps = epoch_order(epoch, items=len(batches), seed=self._seed) if len(batches) else np.empty(0, dtype=np.int64)
        return np.concatenate([shuffled[:begin], batches[steps].ravel(), shuffled[begin + whole :]])
