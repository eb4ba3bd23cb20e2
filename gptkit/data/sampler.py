"""Which items a step reads: a pure function of the seed and the number of the step, whatever the number of devices and workers."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray


def indices(step: int, *, batch: int, items: int, seed: int) -> NDArray[np.int64]:
    """(batch,) int64: the items of a step, item i of epoch e as e * items + i. Each device takes its slice.

    Steps lay the epochs' items end to end, each epoch in its own order, so a batch may begin in one epoch and end in a later one.

    Args:
        step: from 0.
        batch: items of a step, over all devices.
        items: items of an epoch.
        seed: decides the orders.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    epochs, places = np.divmod(places, items)
    first, last = int(epochs[0]), int(epochs[-1])
    found = epochs * items
    for epoch in range(first, last + 1):
        here = epochs == epoch
        found[here] += order(epoch, items=items, seed=seed)[places[here]]
    return found


@functools.lru_cache(maxsize=4)
def order(epoch: int, *, items: int, seed: int) -> NDArray[np.int64]:
    """(items,) int64: the order in which an epoch reads its items, read-only.

    The ranks of Philox's raw numbers, keyed by seed and epoch: numpy promises that these stay the same in later versions, which it
    does not for its shuffles.
    """
    key = np.array([seed % 2**64, epoch], dtype=np.uint64)
    found = np.argsort(np.random.Philox(key=key).random_raw(items), kind="stable")
    found.flags.writeable = False
    return found
