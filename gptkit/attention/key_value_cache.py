"""The KV cache of dense and banded attention: keys and values of every position, written in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from gptkit.attention.base import AttentionCache
from gptkit.attention.positions import round_up


class KeyValueCache(AttentionCache):
    """Shapes: B rows, H heads, L slots, Dh size of a head. A key's slot is its position in its row."""

    is_batch_invariant = True
    memory: Tensor  # (2, B, H, L, Dh): keys, values

    def __init__(self, length: int) -> None:
        self.length = round_up(length)
        self.empty = True

    def append(self, pairs: Tensor) -> None:
        """Write the call's keys and values (2, B, H, T, Dh) where `positions` says."""
        if self.empty:
            self._allocate(pairs, pairs.shape[1])
        positions = self.positions
        if positions.start is not None:
            self.memory[..., positions.start : positions.start + positions.width, :] = pairs
            return
        rows, columns, slots = positions.write_index
        self.memory[:, rows, :, slots] = pairs[:, rows, :, columns]

    def read(self, first: int = 0) -> tuple[Tensor, Tensor]:
        """Views of keys and values from slot `first` to the end of `positions`: (B, H, S, Dh) each."""
        keys, values = self.memory[..., first : self.positions.end, :].unbind(0)
        return keys, values

    def select(self, rows: Tensor) -> None:
        if not self.empty:
            self.memory = self.memory.index_select(1, rows)

    def join(self, parts: Sequence[Self], rows: Tensor) -> None:
        longest = max(part.memory.shape[3] for part in parts)
        read = torch.cat([F.pad(part.memory, (0, 0, 0, longest - part.memory.shape[3])) for part in parts], dim=1)
        self._allocate(read, len(rows))
        self.memory[..., :longest, :] = read.index_select(1, rows)

    def _allocate(self, like: Tensor, rows: int) -> None:
        _, _, h, _, size = like.shape
        # zeros, not whatever the memory holds: a hidden slot has probability 0, but 0 times an accidental NaN would be NaN
        self.memory = like.new_zeros(2, rows, h, self.length, size)
        self.empty = False
