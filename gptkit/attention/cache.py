"""The memory of dense and banded attention: keys and values of every position, written in place."""

from __future__ import annotations

from torch import Tensor

from gptkit.attention.built import AttentionCache


class KeyValueCache(AttentionCache):
    """Shapes: B rows, H heads, L slots, Dh size of a head. A key's slot is its position in its row."""

    keys: Tensor  # (B, H, L, Dh)
    values: Tensor  # (B, H, L, Dh)

    def __init__(self, length: int) -> None:
        self.length = length
        self.empty = True

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Write the call's keys and values (B, H, T, Dh) where `span` says."""
        if self.empty:
            b, h, _, size = keys.shape
            # zeros, not whatever the memory holds: a hidden slot has probability 0, but 0 times an accidental NaN would be NaN
            self.keys = keys.new_zeros(b, h, self.length, size)
            self.values = values.new_zeros(b, h, self.length, size)
            self.empty = False
        span = self.span
        if span.start is not None:
            self.keys[:, :, span.start : span.start + span.width] = keys
            self.values[:, :, span.start : span.start + span.width] = values
            return
        rows, columns, slots = span.writes
        self.keys[rows, :, slots] = keys[rows, :, columns]
        self.values[rows, :, slots] = values[rows, :, columns]

    def read(self, first: int = 0) -> tuple[Tensor, Tensor]:
        """Views of keys and values from slot `first` to the end of the longest row: (B, H, S, Dh) each."""
        return self.keys[:, :, first : self.span.end], self.values[:, :, first : self.span.end]

    def select(self, rows: Tensor) -> None:
        if self.empty:
            return
        self.keys = self.keys.index_select(0, rows)
        self.values = self.values.index_select(0, rows)
