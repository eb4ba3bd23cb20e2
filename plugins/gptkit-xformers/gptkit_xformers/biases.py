"""Attention masks as bias objects of xformers, which store a few numbers instead of a T x T matrix.

They are equivalent to the masks in `gptkit.attention.masks`.
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
"""Tensor of segments -> its biases by window. All layers of a forward pass use the same tensor."""


def whole(window: int | None) -> AttentionBias:
    """Return the bias for unpacked rows: causal, or limited to the last `window` keys, including the query's own."""
    return LowerTriangularMask() if window is None else LowerTriangularFromBottomRightLocalAttentionMask(window)


def packed(segments: Tensor, window: int | None) -> AttentionBias:
    """Return the bias for B rows concatenated to one row of B * T positions, in which each document attends only to itself.

    Args:
        segments: (B, T) int64 ids of documents. Adjacent positions with the same id are one document. The values are copied to the
            host once per tensor.
        window: keys that a query sees, including its own; None: all keys of its document.
    """
    by_window = _packed.setdefault(segments, {})  # type: ignore[no-untyped-call]
    if window not in by_window:
        blocks = BlockDiagonalCausalMask.from_seqlens(lengths(segments), device=segments.device)
        by_window[window] = blocks if window is None else blocks.make_local_attention(window)
    return by_window[window]


def lengths(segments: Tensor) -> list[int]:
    """Return the lengths of the N documents of all rows in order; a document ends at the end of its row."""
    starts = torch.ones_like(segments, dtype=torch.bool)
    starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
    positions = starts.flatten().nonzero().flatten()  # (N,)
    ends = torch.cat([positions[1:], positions.new_tensor([segments.numel()])])
    counts: list[int] = (ends - positions).tolist()
    return counts
