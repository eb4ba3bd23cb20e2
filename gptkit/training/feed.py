"""The batches of a run, from any step on: step i's sequences are a pure function of the seed and i."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gptkit.data.sampler import indices
from gptkit.objective.built import Batch, Dataset


@dataclass(frozen=True)
class Feed:
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
        for step in range(self.start, self.stop):
            chosen = indices(step, batch=self.batch, items=len(self.dataset), seed=self.seed).tolist()
            yield self.dataset.batch(chosen[first : first + share])


def held_out(items: int, at_most: int) -> list[int]:
    """The validation sequences: `at_most` of them, evenly spread and always the same; 0: all."""
    count = min(items, at_most) if at_most else items
    return [place * items // count for place in range(count)]
