"""The KV cache of dense and banded attention: the keys and values of all positions, written in place."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from gptkit.attention.base import AttentionCache
from gptkit.attention.positions import round_up


class KeyValueCache(AttentionCache):
    """Shapes: B rows, H heads, L slots, Dh size of a head. The slot of a key is its position in its row.

    The memory may have room for more than B rows, so that rows can be added without a copy of the others.
    """

    is_batch_invariant = True
    memory: Tensor  # (2, at least B, H, L, Dh): keys, values

    def __init__(self, length: int) -> None:
        self.length = round_up(length)
        self.rows = 0
        self._capacity = 0

    def append(self, pairs: Tensor) -> None:
        """Write the keys and values (2, B, H, T, Dh) of a call to the slots of `positions`."""
        if not self.rows:
            self._reserve(pairs.shape[1], pairs)
            self.rows = pairs.shape[1]
        positions = self.positions
        if positions.start is not None:
            self.memory[:, : self.rows, :, positions.start : positions.start + positions.width] = pairs
            return
        rows, columns, slots = positions.write_index
        self.memory[:, rows, :, slots] = pairs[:, rows, :, columns]

    def read(self, first: int = 0) -> tuple[Tensor, Tensor]:
        """Return views of keys and values from slot `first` to the end of `positions`: (B, H, S, Dh) each."""
        keys, values = self.memory[:, : self.rows, :, first : self.positions.end].unbind(0)
        return keys, values

    def select(self, rows: Tensor) -> None:
        if not self.rows:
            return
        self.rows = len(rows)
        # elsewhere, copying all rows is faster than reading their numbers
        if rows.device.type == "cpu" and self.rows <= self._capacity:
            moves = {new: old for new, old in enumerate(rows.tolist()) if new != old}
            if moves.keys().isdisjoint(moves.values()):  # no row is needed after another one has taken its place
                for new, old in moves.items():
                    self.memory[:, new] = self.memory[:, old]
                return
        self.memory, self._capacity = self.memory.index_select(1, rows), len(rows)

    def extend(self, other: Self) -> None:
        total = self.rows + other.rows
        self._reserve(total, other.memory)
        self.memory[:, self.rows : total, :, : other.memory.shape[3]] = other.memory[:, : other.rows]
        self.rows = total

    def prefix(self, length: int) -> Self:
        result = type(self)(length)
        result.memory = self.memory[:, : self.rows, :, : result.length].clone()
        result.rows = result._capacity = self.rows
        return result

    def _reserve(self, rows: int, like: Tensor) -> None:
        """Make room for a number of rows, and keep the present ones."""
        if rows <= self._capacity:
            return
        _, _, h, _, size = like.shape
        # zeros, since a masked slot has probability 0, but 0 times a NaN in uninitialised memory would be NaN
        memory = like.new_zeros(2, max(rows, 2 * self._capacity), h, self.length, size)
        if self.rows:
            memory[:, : self.rows] = self.memory[:, : self.rows]
        self.memory, self._capacity = memory, memory.shape[1]
