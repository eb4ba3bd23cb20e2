"""The batches of a run from any step on. The batch of step i is a pure function of the seed and i."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.sampler import ByLength, step_indices
from gptkit.data.splits import evenly_spaced


@dataclass(frozen=True)
class TrainDataLoader:
    """What Lightning iterates over: this device's slice of each step's batch.

    The slices of all devices together are the batch that one device would have got, so their number changes nothing.
    """

    dataset: Dataset
    seed: int
    batch: int
    """Sequences per step over all devices; divisible by `replicas`."""
    start: int
    """Steps already done."""
    stop: int
    """The step with which the run ends."""
    replica: int = 0
    """Which slice this device takes."""
    replicas: int = 1

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Batch]:
        share = self.batch // self.replicas
        first = self.replica * share
        length, longest = len(self.dataset), self.dataset.longest()
        order = None if longest is None else ByLength(longest, batch=self.batch, seed=self.seed)
        for step in range(self.start, self.stop):
            items = step_indices(step, batch=self.batch, items=length, seed=self.seed, order_of=order).tolist()
            yield self.dataset.batch(items[first : first + share])


def validation_items(dataset: Dataset, at_most: int) -> list[int]:
    """The validation items: `at_most` of them, evenly spread and always the same, those of similar length together; 0: all."""
    items, longest = evenly_spaced(len(dataset), at_most), dataset.longest()
    return items if longest is None else sorted(items, key=lambda item: int(longest[item]))
