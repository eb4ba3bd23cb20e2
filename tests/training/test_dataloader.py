"""Batches by step do not depend on the number of devices, or on the step at which a run resumes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from gptkit.data.dataset import Batch, Dataset
from gptkit.training.dataloader import TrainDataLoader, validation_items


class Numbers(Dataset):
    """Item i is the number i, counted over all epochs."""

    def __init__(self, items: int = 10) -> None:
        self._items = items

    def __len__(self) -> int:
        return self._items

    def batch(self, indices: Sequence[int]) -> Batch:
        return {"tokens": torch.tensor(list(indices))[:, None]}


def read(feed: TrainDataLoader) -> list[list[int]]:
    return [batch["tokens"][:, 0].tolist() for batch in feed]


def test_epoch_has_every_item_once_and_epochs_differ() -> None:
    steps = read(TrainDataLoader(Numbers(), seed=3, batch=5, start=0, stop=4))
    assert sorted(steps[0] + steps[1]) == list(range(10))
    assert sorted(steps[2] + steps[3]) == list(range(10, 20))
    assert [item - 10 for item in steps[2] + steps[3]] != steps[0] + steps[1]


def test_resumed_dataloader_continues_the_sequence() -> None:
    whole = read(TrainDataLoader(Numbers(), seed=3, batch=4, start=0, stop=7))
    tail = TrainDataLoader(Numbers(), seed=3, batch=4, start=5, stop=7)
    assert read(tail) == whole[5:]
    assert len(tail) == 2


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_slices_concatenate_to_the_batch_of_one_device(replicas: int) -> None:
    whole = read(TrainDataLoader(Numbers(), seed=1, batch=4, start=0, stop=6))
    slices = [
        read(TrainDataLoader(Numbers(), seed=1, batch=4, start=0, stop=6, replica=r, replicas=replicas)) for r in range(replicas)
    ]
    assert [[item for part in parts for item in part] for parts in zip(*slices, strict=True)] == whole


def test_validation_items_are_evenly_spaced_and_unique() -> None:
    assert validation_items(Numbers(10), 0) == validation_items(Numbers(10), 50) == list(range(10))
    assert validation_items(Numbers(10), 3) == [0, 3, 6]
    assert len(set(validation_items(Numbers(1000), 256))) == 256
