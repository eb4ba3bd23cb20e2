"""Banded causal attention: the projections and the cache of dense attention, with a mask for the last `window` keys."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gptkit.attention.dense import DenseAttention
from gptkit.attention.key_value_cache import KeyValueCache
from gptkit.attention.masks import banded_mask, same_document_mask

BLOCK = 512
"""The number of keys that PyTorch's CPU kernel processes at a time. Keys before the band are skipped in whole blocks, so that the
sums of a block do not depend on the lengths of other rows."""


class BandedAttention(DenseAttention):
    """Shapes as in `DenseAttention`, whose weights are compatible. Results are equal for up to `window` positions.

    Source: "Generating Long Sequences with Sparse Transformers", section 4.3.
    """

    def __init__(self, *, width: int, heads: int, dropout: float, window: int) -> None:
        super().__init__(width=width, heads=heads, dropout=dropout)
        self.window = window

    def attend(self, q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None) -> Tensor:
        t = q.shape[2]
        if t <= self.window:  # the band covers all keys, and the causal kernel needs no mask
            return super().attend(q, k, v, segments)
        positions = torch.arange(t, device=q.device)
        mask = banded_mask(positions, positions, self.window)  # (T, T)
        if segments is not None:
            mask = (mask & same_document_mask(segments)).unsqueeze(1)  # (B, 1, T, T)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0)

    def attend_cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KeyValueCache) -> Tensor:
        positions = cache.positions
        if positions.end <= self.window:
            return super().attend_cached(q, k, v, cache)
        if not positions.needs_mask:
            keys, values = cache.read(positions.end - self.window)  # (B, H, window, Dh)
            return F.scaled_dot_product_attention(q, keys, values)
        first = max(0, positions.first - self.window + 1) // BLOCK * BLOCK
        keys, values = cache.read(first)  # (B, H, S, Dh)
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=positions.mask(self.window, first))
