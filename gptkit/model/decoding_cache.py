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
    def can_join(self) -> bool:
        """Whether the caches of all layers implement `AttentionCache.join`."""
        return all(type(layer).join is not AttentionCache.join for layer in self.layers)

    def join(self, caches: Sequence[DecodingCache], rows: Tensor) -> None:
        """Fill this empty cache with rows of the concatenation of other caches. Rows may be repeated."""
        lengths = [length for cache in caches for length in cache._lengths]
        self._lengths = [lengths[row] for row in rows.tolist()]
        self.lengths = torch.tensor(self._lengths, device=self.lengths.device)
        for index, layer in enumerate(self.layers):
            layer.join([cache.layers[index] for cache in caches], rows)

    def select(self, rows: Tensor) -> None:
        self.lengths = self.lengths[rows]
        self._lengths = [self._lengths[row] for row in rows.tolist()]
        for layer in self.layers:
            layer.select(rows)
