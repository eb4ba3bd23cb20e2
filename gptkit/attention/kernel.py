"""PyTorch's attention, in the precision in which it is quick where training happens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHORT = 16_384
"""Numbers of a head's queries (T Dh) up to which float32 is quicker than bfloat16 on a processor, forward and backward together."""


def attention(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, dropout: float = 0.0, is_causal: bool = False
) -> Tensor:
    """softmax(q k^T / sqrt(Dh)) v: (B, H, T, Dh) queries and (B, H, S, Dh) keys and values -> (B, H, T, Dh), in the queries' dtype.

    On a processor, the backward pass of torch 2.13's kernel for bfloat16 multiplies blocks of 32 rows one by one, and what a call
    costs outweighs what it computes: 18 ms against 4 in float32 for 16 sequences of 96 and 4 heads of 32; alike from 256 x 64 on.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and q.requires_grad and q.shape[-2] * q.shape[-1] <= SHORT:
        with torch.autocast("cpu", enabled=False):
            found = _attention(q.float(), k.float(), v.float(), mask, dropout, is_causal)
        return found.to(q.dtype)
    return _attention(q, k, v, mask, dropout, is_causal)


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, is_causal: bool) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=is_causal)
