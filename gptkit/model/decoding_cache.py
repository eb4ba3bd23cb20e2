"""The decoding cache of a model: one cache per layer, and the number of tokens of each row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.attention.base import AttentionCache
from gptkit.attention.positions import Positions


class DecodingCache:
    """Caches B rows of at most `length` tokens. A copy of the lengths on the host avoids synchronisation with the device."""

    def __init__(self, layers: Sequence[AttentionCache], batch: int, length: int, device: torch.device) -> None:
        self.layers = layers
        self.length = length
        self.lengths = torch.zeros(batch, dtype=torch.int64, device=device)
        self._lengths = [0] * batch
        self._counts: list[int] | None = None

    def receive(self, counts: Tensor) -> None:
        self._counts = counts.tolist()

    def advance(self, tokens: Tensor) -> Positions:
        """Add the tokens (B, T) of a call to the lengths, and return their positions.

        Raises:
            ValueError: the number of rows differs from the cache, or a row exceeds `length`.
        """
        b, t = tokens.shape
        if b != len(self._lengths):
            raise ValueError(f"the cache has {len(self._lengths)} rows, but the tokens have {b}")
        counts = self._counts or [t] * b
        longest = max((length + count for length, count in zip(self._lengths, counts, strict=True)), default=0)
        if longest > self.length or (t > self.length):
            raise ValueError(f"a row of {max(longest, t)} tokens does not fit into a cache of {self.length}")
        positions = Positions(self._lengths, counts, t, self.lengths)
        self.lengths = self.lengths + (t if self._counts is None else torch.tensor(counts, device=self.lengths.device))
        self._lengths = [length + count for length, count in zip(self._lengths, counts, strict=True)]
        self._counts = None
        for layer in self.layers:
            layer.positions = positions
        return positions

    @property
    def is_batch_invariant(self) -> bool:
        """Whether all layers are batch-invariant; see `AttentionCache.is_batch_invariant`."""
        return all(layer.is_batch_invariant for layer in self.layers)

    @property
    def can_extend(self) -> bool:
        """Whether the caches of all layers implement `AttentionCache.extend`."""
        return all(type(layer).extend is not AttentionCache.extend for layer in self.layers)

    def extend(self, other: DecodingCache) -> None:
        """Add the rows of another cache after those of this one."""
        self._lengths += other._lengths
        self.lengths = torch.cat([self.lengths, other.lengths])
        for layer, others in zip(self.layers, other.layers, strict=True):
            layer.extend(others)

    @property
    def has_prefixes(self) -> bool:
        """Whether the caches of all layers implement `AttentionCache.prefix`."""
        return all(type(layer).prefix is not AttentionCache.prefix for layer in self.layers)

    def prefix(self, length: int) -> DecodingCache:
        """Return a copy of the first `length` tokens of all rows, each of which has read at least as many."""
        rows = len(self._lengths)
        result = DecodingCache([layer.prefix(length) for layer in self.layers], rows, length, self.lengths.device)
        result._lengths, result.lengths = [length] * rows, torch.full_like(self.lengths, length)
        return result

    def select(self, rows: Tensor) -> None:
        self.lengths = self.lengths[rows]
        self._lengths = [self._lengths[row] for row in rows.tolist()]
        for layer in self.layers:
            layer.select(rows)
