"""Losses, log-probabilities, scores and values are computed in at least float32; in float64 where the weights are float64."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upcast_dtype(tensor: Tensor) -> torch.dtype:
    """float32, or the tensor's own floating dtype if that is wider."""
    return torch.promote_types(tensor.dtype, torch.float32)


def upcast(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: the 8 bits of bfloat16 cannot distinguish similar probabilities or sums of losses."""
    return tensor.to(upcast_dtype(tensor))


def upcast_linear(head: nn.Linear, hidden: Tensor) -> Tensor:
    """Apply the head of scores, values or labels to hidden states in at least float32, even under autocast: (..., D) -> (..., K).

    In bfloat16 similar completions, options or probabilities would be equal, and this product is small.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(upcast(hidden), upcast(head.weight), upcast(head.bias))
