"""The language model head: hidden states to logits. Pads the vocabulary internally where that is faster."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

MULTIPLE = 64
"""Matrix products on tensor cores want sizes divisible by 8; 64 suits every tile (50,257 becomes 50,304)."""


def padded_vocabulary(vocabulary: int) -> int:
    """The vocabulary size rounded up to a multiple of 64."""
    return -(-vocabulary // MULTIPLE) * MULTIPLE


def lm_logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """Logits of exactly the tokens that exist: (..., D), (V, D) -> (..., V).

    Parameters keep V rows, so nothing that reads or counts them knows of the padding. On the CPU, and for the few rows of a
    decoding step, an odd size costs less than the copy.
    """
    rows = hidden.numel() // hidden.shape[-1]
    if hidden.is_cuda and weight.shape[0] % MULTIPLE and rows >= 256:
        return padded_logits(hidden, weight)
    return F.linear(hidden, weight)


def padded_logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """`lm_logits` by a product with a multiple of 64 columns: (..., D), (V, D) -> (..., V)."""
    v = weight.shape[0]
    return F.linear(hidden, F.pad(weight, (0, 0, 0, padded_vocabulary(v) - v)))[..., :v]
