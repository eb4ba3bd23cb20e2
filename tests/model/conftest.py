"""Fixtures for tests of models: results with and without a cache, and a process group."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from gptkit.model.base import Model

CALLS = [
    ([5, 1, 9], None),  # three prompts of different lengths
    ([1, 1, 1], None),  # one token per row
    ([1, 1, 1], None),
    ([2, 0, 4], None),  # several tokens with padding, and a row with none
    ([3, 3, 3], [2, 0, 0]),  # rows are removed, repeated and reordered
    ([1, 1, 1], None),
    ([0, 1], [1, 2]),  # fewer rows
]
"""For each call, the number of tokens that each row reads, and the rows that are selected before the call."""


@pytest.fixture
def ragged() -> Callable[[Model], Iterator[tuple[Tensor, Tensor]]]:
    """`ragged(model)`: pairs of hidden states, with a cache whose rows have different lengths, and without a cache."""

    def pairs(model: Model) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.randint(0, model.vocabulary, (3, 20))
        whole = model(rows)
        read = torch.zeros(3, dtype=torch.int64)
        cache = model.cache(3, 20)
        for counts, keep in CALLS:
            if keep is not None:
                cache.select(torch.tensor(keep))
                rows, whole, read = rows[keep], whole[keep], read[keep]
            call = torch.randint(0, model.vocabulary, (len(counts), max(counts) + (min(counts) != max(counts))))
            for row, count in enumerate(counts):
                call[row, :count] = rows[row, read[row] : read[row] + count]
            if call.shape[1] != min(counts):
                cache.receive(torch.tensor(counts))
            hidden = model(call, cache=cache)
            for row, count in enumerate(counts):
                yield hidden[row, :count], whole[row, read[row] : read[row] + count]
            read = read + torch.tensor(counts)
            assert torch.equal(cache.lengths, read)

    return pairs


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group with one process."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    yield
    dist.destroy_process_group()
