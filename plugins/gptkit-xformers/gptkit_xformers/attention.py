"""Causal attention by xformers' kernels; projections, cache and decoding steps are those of the kit's own attention."""

from __future__ import annotations

from torch import Tensor

from gptkit.attention.banded import BandedAttention
from gptkit.attention.key_value_cache import KeyValueCache
from gptkit_xformers import biases, kernel


class XFormersAttention(BandedAttention):
    """Shapes: B batch, T time, D width, H heads, Dh = D / H. Parameters as in `DenseAttention`.

    Dense where `window` is the context."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None) -> Tensor:
        b, h, t, size = q.shape
        window = self.window if self.window < t else None
        bias = biases.whole(window) if segments is None else biases.packed(segments, window)
        rows = (b, t, h, size) if segments is None else (1, b * t, h, size)
        q, k, v = (x.transpose(1, 2).reshape(rows) for x in (q, k, v))  # views of the projection: nothing is copied
        y = kernel.attention(q, k, v, bias, dropout=self.dropout if self.training else 0.0)
        return y.reshape(b, t, h, size).transpose(1, 2)  # (B, H, T, Dh)

    def attend_cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KeyValueCache) -> Tensor:
        """Prompts by xformers; single tokens and continuations, which gain nothing by it, as the kit's own attention does them."""
        if not cache.positions.is_prefill:
            return super().attend_cached(q, k, v, cache)
        return self.attend(q, k, v, None)  # padding stands on the right, where causal attention never looks
