"""Yields the batches of a run, starting at any step. The batch of step i is a pure function of the seed and i."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.sampler import ByLength, step_indices
from gptkit.data.splits import evenly_spaced


@dataclass(frozen=True)
class TrainDataLoader:
    """Yields this device's slice of each step's batch; Lightning iterates over it.

    The slices of all devices together are the batch of a run on one device, so the number of devices does not change training.
    """

    dataset: Dataset
    seed: int
    batch: int
    """Sequences per step over all devices; divisible by `replicas`."""
    start: int
    """The number of steps already done."""
    stop: int
    """The last step of the run."""
    replica: int = 0
    """The index of this device's slice."""
    replicas: int = 1
    """The number of slices."""

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Batch]:
        slice_size = self.batch // self.replicas
        first = self.replica * slice_size
        length, longest = len(self.dataset), self.dataset.longest()
        order = None if longest is None else ByLength(longest, batch=self.batch, seed=self.seed)
        for step in range(self.start, self.stop):
            items = step_indices(step, batch=self.batch, items=length, seed=self.seed, order_of=order).tolist()
            yield self.dataset.batch(items[first : first + slice_size])


def validation_items(dataset: Dataset, max_items: int) -> list[int]:
    """Return the indices of the validation items: at most `max_items`, evenly spaced and always the same; 0: all.

    Items of similar length are adjacent.
    """
    items, longest = evenly_spaced(len(dataset), max_items), dataset.longest()
    return items if longest is None else sorted(items, key=lambda item: int(longest[item]))
