"""Causal attention with xformers' kernels. Projections, cache and decoding steps are those of gptkit's own attention."""

from __future__ import annotations

from torch import Tensor

from gptkit.attention.banded import BandedAttention
from gptkit.attention.key_value_cache import KeyValueCache
from gptkit_xformers import biases, kernel


class XFormersAttention(BandedAttention):
    """Shapes: B batch, T time, D width, H heads, Dh = D / H. Parameters as in `DenseAttention`.

    The attention is dense if `window` equals the context.
    """

    def attend(self, q: Tensor, k: Tensor, v: Tensor, segments: Tensor | None) -> Tensor:
        b, h, t, size = q.shape
        window = self.window if self.window < t else None
        bias = biases.whole(window) if segments is None else biases.packed(segments, window)
        rows = (b, t, h, size) if segments is None else (1, b * t, h, size)
        q, k, v = (x.transpose(1, 2).reshape(rows) for x in (q, k, v))  # views of the projection, without copies
        y = kernel.attention(q, k, v, bias, dropout=self.dropout if self.training else 0.0)
        return y.reshape(b, t, h, size).transpose(1, 2)  # (B, H, T, Dh)

    def attend_cached(self, q: Tensor, k: Tensor, v: Tensor, cache: KeyValueCache) -> Tensor:
        """Use xformers for prompts only. Single tokens and continuations use gptkit's own attention, which is as fast."""
        if not cache.positions.is_prefill:
            return super().attend_cached(q, k, v, cache)
        return self.attend(q, k, v, None)  # padding is on the right, so causal attention ignores it
