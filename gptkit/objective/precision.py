"""The number format of losses, log-probabilities, scores and values: float32, or float64 where the weights are kept in it."""

from __future__ import annotations

import torch
from torch import Tensor


def full_dtype(tensor: Tensor) -> torch.dtype:
    """float32, or the tensor's own floating dtype where that is wider."""
    return torch.promote_types(tensor.dtype, torch.float32)


def in_full(tensor: Tensor) -> Tensor:
    """The tensor in at least float32: eight bits tell neither similar probabilities nor the sums of many losses apart."""
    return tensor.to(full_dtype(tensor))
