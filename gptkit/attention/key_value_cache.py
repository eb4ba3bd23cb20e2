"""The KV cache of dense and banded attention: the keys and values of all positions, written in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from gptkit.attention.base import AttentionCache
from gptkit.attention.positions import round_up


class KeyValueCache(AttentionCache):
    """Shapes: B rows, H heads, L slots, Dh size of a head. The slot of a key is its position in its row."""

    is_batch_invariant = True
    memory: Tensor  # (2, B, H, L, Dh): keys, values

    def __init__(self, length: int) -> None:
        self.length = round_up(length)
        self.is_empty = True

    def append(self, pairs: Tensor) -> None:
        """Write the keys and values (2, B, H, T, Dh) of a call to the slots of `positions`."""
        if self.is_empty:
            self._allocate(pairs, pairs.shape[1])
        positions = self.positions
        if positions.start is not None:
            self.memory[..., positions.start : positions.start + positions.width, :] = pairs
            return
        rows, columns, slots = positions.write_index
        self.memory[:, rows, :, slots] = pairs[:, rows, :, columns]

    def read(self, first: int = 0) -> tuple[Tensor, Tensor]:
        """Return views of keys and values from slot `first` to the end of `positions`: (B, H, S, Dh) each."""
        keys, values = self.memory[..., first : self.positions.end, :].unbind(0)
        return keys, values

    def select(self, rows: Tensor) -> None:
        if not self.is_empty:
            self.memory = self.memory.index_select(1, rows)

    def join(self, caches: Sequence[Self], rows: Tensor) -> None:
        longest = max(cache.memory.shape[3] for cache in caches)
        joined = torch.cat([F.pad(cache.memory, (0, 0, 0, longest - cache.memory.shape[3])) for cache in caches], dim=1)
        self._allocate(joined, len(rows))
        self.memory[..., :longest, :] = joined.index_select(1, rows)

    def _allocate(self, like: Tensor, rows: int) -> None:
        _, _, h, _, size = like.shape
        # zeros, since a masked slot has probability 0, but 0 times a NaN in uninitialised memory would be NaN
        self.memory = like.new_zeros(2, rows, h, self.length, size)
        self.is_empty = False
