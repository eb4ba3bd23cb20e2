"""The linear layer that makes scores, values and labels of hidden states."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptkit.objective.precision import in_full


def read(head: nn.Linear, hidden: Tensor) -> Tensor:
    """(..., D) -> (..., K) in at least float32, whatever training computes in.

    Eight bits would not tell similar completions, options or probabilities apart, and one small product costs nothing.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        return F.linear(in_full(hidden), in_full(head.weight), in_full(head.bias))
