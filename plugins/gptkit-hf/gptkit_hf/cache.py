"""The key-value cache of a transformers model.

Rows of different lengths are padded on the left, as transformers expects: the last token of every row is then in the last column,
and sliding windows, relative positions and recurrences have no gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class HFCache:
    """The cache of B rows of at most `length` tokens. Shapes: S columns read so far, including padding."""

    def __init__(self, config: PreTrainedConfig, batch: int, length: int, device: torch.device) -> None:
        self.config = config
        self.length = length
        self.lengths = torch.zeros(batch, dtype=torch.int64, device=device)
        self.tokens = torch.zeros(batch, 0, dtype=torch.int64, device=device)  # (B, S), padded on the left
        self.memory = DynamicCache(config=config)
        self.longest = 0
        self.padded = False
        self._counts: Tensor | None = None

    def receive(self, counts: Tensor) -> None:
        self._counts = counts

    def advance(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Append the tokens (B, T) of a call.

        If rows grow by different numbers of tokens, the model must read all rows again from the beginning.

        Returns:
            The (B, N) tokens for the model to read; and the (B, T) columns of the call's tokens among them, or None if they are the
            same.

        Raises:
            ValueError: the batch has another number of rows, or a row would exceed `length`.
        """
        b, t = tokens.shape
        if b != len(self.lengths):
            raise ValueError(f"the cache has {len(self.lengths)} rows, but the tokens have {b}")
        counts, self._counts = self._counts, None
        ragged = counts is not None and bool((counts != t).any())
        if not ragged or counts is None:
            self._check_length(self.longest + t)
            self.lengths = self.lengths + t
            self.longest += t
            self.tokens = torch.cat([self.tokens, tokens], dim=1)
            return tokens, None
        counts = counts.to(tokens.device)
        self._check_length(int((self.lengths + counts).max()))
        rows = [
            torch.cat([read[len(read) - length :], new[:count]])
            for read, length, new, count in zip(self.tokens, self.lengths.tolist(), tokens, counts.tolist(), strict=True)
        ]
        self.lengths = self.lengths + counts
        self.longest = max(map(len, rows))
        self.tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side="left")
        self.padded = True
        self.memory = DynamicCache(config=self.config)
        columns = (self.longest - counts).unsqueeze(1) + torch.arange(t, device=tokens.device)
        return self.tokens, columns.clamp(max=self.longest - 1)

    def _check_length(self, longest: int) -> None:
        if longest > self.length:
            raise ValueError(f"a row of {longest} tokens does not fit into a cache of {self.length}")

    def mask(self) -> Tensor | None:
        """Return the (B, S) mask of columns that are not padding; None if no column is."""
        if not self.padded:
            return None
        columns = torch.arange(self.tokens.shape[1], device=self.lengths.device)
        return columns >= (self.tokens.shape[1] - self.lengths).unsqueeze(1)

    def positions(self, width: int) -> Tensor | None:
        """Return the (B, N) positions of the last `width` columns in their rows; None if there is no padding."""
        if not self.padded:
            return None
        total = self.tokens.shape[1]
        columns = torch.arange(total - width, total, device=self.lengths.device)
        return (columns - (total - self.lengths).unsqueeze(1)).clamp(min=0)

    @property
    def can_extend(self) -> bool:
        """Whether every layer stores keys and values only, so that `extend` can pad them."""
        return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in self.memory.layers)

    def extend(self, other: HFCache) -> None:
        """Add the rows of another cache after those of this one, padded on the left.

        Every prompt is then read on its own, so that its hidden states do not depend on the other prompts.
        """
        caches = [self, other] if len(self.lengths) else [other]
        memory = DynamicCache(config=self.config)
        lengths = torch.cat([cache.lengths for cache in caches])
        longest = int(lengths.max())
        layer: Any  # the types of transformers do not say which layers have keys
        for index, layer in enumerate(memory.layers):
            parts: list[Any] = [cache.memory.layers[index] for cache in caches]
            if not parts[0].is_initialized:  # the layer shares keys and values with another one
                continue
            keys, values = (_pad_left([getattr(part, name) for part in parts], dim=2) for name in ("keys", "values"))
            layer.lazy_initialization(keys, values)
            is_window = isinstance(layer, DynamicSlidingWindowLayer)
            kept = min(longest, layer.sliding_window - 1) if is_window else longest
            layer.keys, layer.values = keys[:, :, keys.shape[2] - kept :], values[:, :, values.shape[2] - kept :]
            if is_window:
                layer.cumulative_length = longest
        self.tokens = _pad_left([cache.tokens for cache in caches], dim=1)[:, -longest:]
        self.memory, self.lengths, self.longest = memory, lengths, longest
        self.padded = bool((lengths != longest).any())

    @property
    def has_prefixes(self) -> bool:
        """Whether every layer stores the keys and values of all positions, so that `prefix` can take the first ones."""
        return all(type(layer) is DynamicLayer for layer in self.memory.layers)

    def prefix(self, length: int) -> HFCache:
        """Return a copy of the first `length` tokens of all rows, which have the same length.

        Raises:
            ValueError: rows are padded.
        """
        if self.padded:
            raise ValueError("rows of different lengths have no common first columns")
        result = HFCache(self.config, len(self.lengths), length, self.lengths.device)
        result.lengths, result.longest = torch.full_like(self.lengths, length), length
        result.tokens = self.tokens[:, :length].clone()
        own: Any
        other: Any
        for own, other in zip(result.memory.layers, self.memory.layers, strict=True):
            if other.is_initialized:  # otherwise it shares keys and values with another layer
                own.lazy_initialization(other.keys, other.values)
                own.keys, own.values = other.keys[:, :, :length].clone(), other.values[:, :, :length].clone()
        return result

    def select(self, rows: Tensor) -> None:
        self.lengths = self.lengths[rows]
        self.tokens = self.tokens[rows]
        self.longest = int(self.lengths.max()) if len(rows) else 0
        self.memory.reorder_cache(rows)  # type: ignore[arg-type]  # int64 tensors are supported


def _pad_left(tensors: Sequence[Tensor], *, dim: int) -> Tensor:
    """Concatenate tensors along their first dimension, after padding dimension `dim` on the left to the longest with zeros."""
    longest = max(tensor.shape[dim] for tensor in tensors)
    return torch.cat([F.pad(tensor, (0, 0) * (tensor.dim() - dim - 1) + (longest - tensor.shape[dim], 0)) for tensor in tensors])
