"""Dense causal attention with PyTorch's scaled_dot_product_attention, and a cache for decoding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptkit.attention.base import Attention, AttentionCache
from gptkit.attention.key_value_cache import KeyValueCache
from gptkit.attention.masks import causal_mask, same_document_mask


class DenseAttention(Attention):
    """Shapes: B batch, T time, S keys, D width, H heads, Dh = D / H.

    Source: "Attention Is All You Need", equation 1: softmax(q k^T / sqrt(Dh)) v, with a fused projection for q, k and v.
    """

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, *, cache: AttentionCache | None = None, segments: Tensor | None = None) -> Tensor:
        b, t, d = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads)
        q, k, v = (
            part.transpose(1, 2) for part in qkv.unbind(2)
        )  # (B, H, T, Dh) each; unbind before transpose copies once in backward
        if cache is None:
            y = self.attend(q, k, v, segments)
        else:
            assert isinstance(cache, KeyValueCache)
            cache.append(qkv[:, :, 1:].permute(2, 0, 3, 1, 4))
            y = self.attend_cached(q, k, v, cache)
        return self.output(y.transpose(1, 2).reshape(b, t, d))  # type: ignore[no-any-return]  # (B, T, D)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None) -> Tensor:
        """Attend among the T positions of a whole sequence: (B, H, T, Dh) -> (B, H, T, Dh)."""
        p = self.dropout if self.training else 0.0
        if segments is None:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        positions = torch.arange(q.shape[2], device=q.device)
        mask = causal_mask(positions, positions) & same_document_mask(segments)  # (B, T, T)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.unsqueeze(1), dropout_p=p)

    def attend_cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KeyValueCache) -> Tensor:
        """Attend to the whole cache, including the T newest positions (q, k, v): (B, H, T, Dh) -> (B, H, T, Dh)."""
        positions = cache.positions
        if positions.is_prefill:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        keys, values = cache.read()  # (B, H, S, Dh)
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=positions.mask() if positions.needs_mask else None)

    def cache(self, batch: int, length: int) -> KeyValueCache:
        return KeyValueCache(length)
