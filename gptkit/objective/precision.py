"""Casts to at least float32, in which losses, log-probabilities, scores and values are computed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upcast_dtype(tensor: Tensor) -> torch.dtype:
    """Return float32, or the tensor's own floating dtype if that is wider."""
    return torch.promote_types(tensor.dtype, torch.float32)


def upcast(tensor: Tensor) -> Tensor:
    """Cast the tensor to at least float32, since the 8 significant bits of bfloat16 cannot distinguish similar probabilities."""
    return tensor.to(upcast_dtype(tensor))


def upcast_linear(head: nn.Linear, hidden: Tensor) -> Tensor:
    """Apply a head for scores, values or labels to hidden states in at least float32, even under autocast: (..., D) -> (..., K).

    In bfloat16, similar completions or options would get equal scores. The product is small, so the precision costs little.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(upcast(hidden), upcast(head.weight), upcast(head.bias))
