"""Which keys a query sees, as bias objects of xformers: a few numbers each, where a mask would be T x T.

The kit's own masks, which these equal, are `gptkit.attention.masks`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from xformers.ops.fmha.attn_bias import (
    AttentionBias,
    BlockDiagonalCausalMask,
    LowerTriangularFromBottomRightLocalAttentionMask,
    LowerTriangularMask,
)

_packed: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""By the tensor of segments: the biases made of it, by window. All layers of a forward pass ask with the same tensor."""


def whole(window: int | None) -> AttentionBias:
    """For rows of one document each: causal, or the last `window` keys, the query's own included."""
    return LowerTriangularMask() if window is None else LowerTriangularFromBottomRightLocalAttentionMask(window)


def packed(segments: Tensor, window: int | None) -> AttentionBias:
    """For the B rows end to end as one row of B * T positions: each document sees itself alone, within `window` where given.

    Args:
        segments: (B, T) int64 ids of documents; neighbours with one id are one document. Its numbers are read by the host, once
            per tensor.
        window: keys that a query sees, itself included; None: all of its document.
    """
    made = _packed.setdefault(segments, {})  # type: ignore[no-untyped-call]
    if window not in made:
        blocks = BlockDiagonalCausalMask.from_seqlens(lengths(segments), device=segments.device)
        made[window] = blocks if window is None else blocks.make_local_attention(window)
    return made[window]


def lengths(segments: Tensor) -> list[int]:
    """Tokens of the documents of all rows in order, a document never longer than its row: (B, T) int64 -> N numbers."""
    starts = torch.ones_like(segments, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    places = starts.flatten().nonzero().flatten()  # (N,)
    ends = torch.cat([places[1:], places.new_tensor([segments.numel()])])
    found: list[int] = (ends - places).tolist()
    return found
