"""The items of a step are a pure function of the seed and the step, and every epoch reads every item once."""

from __future__ import annotations

import numpy as np
import pytest

from gptkit.data.sampler import ByLength, step_indices


def slow_step_indices(step: int, *, batch: int, items: int, seed: int) -> list[int]:
    """Concatenate the orders of all epochs up to the step."""
    stream: list[int] = []
    epoch = 0
    while len(stream) < (step + 1) * batch:
        numbers = np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)).random_raw(items).tolist()
        stream += [epoch * items + item for item in sorted(range(items), key=numbers.__getitem__)]
        epoch += 1
    return stream[step * batch : (step + 1) * batch]


@pytest.mark.parametrize(("batch", "items"), [(4, 10), (7, 7), (3, 1), (10, 4), (1, 5), (25, 6), (8, 64)])
def test_step_indices_agree_with_the_slow_version(batch: int, items: int) -> None:
    for seed in (0, 1, 2**40):
        for step in (*range(12), 40):
            assert step_indices(step, batch=batch, items=items, seed=seed).tolist() == slow_step_indices(
                step, batch=batch, items=items, seed=seed
            )


def test_every_epoch_reads_every_item_once_in_a_different_order() -> None:
    items, batch = 30, 12
    stream = np.concatenate([step_indices(step, batch=batch, items=items, seed=5) for step in range(10)]).reshape(4, items)
    assert np.array_equal(np.sort(stream, axis=1), np.arange(4 * items).reshape(4, items))
    assert len({tuple(epoch % items) for epoch in stream}) == 4
    assert not np.array_equal(step_indices(0, batch=batch, items=items, seed=5), step_indices(0, batch=batch, items=items, seed=6))


def test_step_does_not_depend_on_previous_steps() -> None:
    late = step_indices(1000, batch=8, items=13, seed=-3)
    for step in (0, 999, 1001):
        step_indices(step, batch=8, items=13, seed=-3)
    assert np.array_equal(step_indices(1000, batch=8, items=13, seed=-3), late)


def test_order_is_the_same_in_all_versions_of_numpy() -> None:
    """A run must continue bit for bit after an upgrade."""
    assert step_indices(0, batch=8, items=8, seed=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]


@pytest.mark.parametrize(("batch", "items"), [(4, 10), (7, 7), (3, 1), (10, 4), (8, 1000), (16, 4000)])
def test_by_length_reads_every_item_once_per_epoch(batch: int, items: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 500, items)
    order = ByLength(lengths, batch=batch, seed=3)
    steps = [step_indices(step, batch=batch, items=items, seed=3, order_of=order) for step in range(3 * items)]
    stream = np.concatenate(steps)[: 3 * items].reshape(3, items)
    assert np.array_equal(np.sort(stream, axis=1), np.arange(3 * items).reshape(3, items))
    again = step_indices(2, batch=batch, items=items, seed=3, order_of=ByLength(lengths, batch=batch, seed=3))
    assert np.array_equal(again, steps[2])


def test_by_length_needs_little_padding_and_lengths_are_in_random_order() -> None:
    items, batch = 4001, 16  # epochs do not end with a full batch
    lengths = np.random.default_rng(1).integers(1, 500, items)
    order = ByLength(lengths, batch=batch, seed=0)
    read = [
        lengths[step_indices(step, batch=batch, items=items, seed=0, order_of=order) % items] for step in range(3 * items // batch)
    ]
    padded = sum(batch * int(step.max()) for step in read)
    assert sum(int(step.sum()) for step in read) / padded > 0.95
    longest = [int(step.max()) for step in read]
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.2
