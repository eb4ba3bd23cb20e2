"""The language modelling head: hidden states to logits. Pads the vocabulary internally if that is faster."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

MULTIPLE = 64
"""Matrix products on tensor cores need sizes divisible by 8; 64 fits every tile size (50,257 becomes 50,304)."""


def padded_vocabulary(vocabulary: int) -> int:
    """Return the vocabulary size rounded up to a multiple of 64."""
    return -(-vocabulary // MULTIPLE) * MULTIPLE


def lm_logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """Return the logits of the V tokens: (..., D), (V, D) -> (..., V).

    The weight has V rows, so code that reads or counts parameters is not affected by the padding. On the CPU, and for the few rows
    of a decoding step, a product with an odd size costs less than the padded copy.
    """
    rows = hidden.numel() // hidden.shape[-1]
    if hidden.is_cuda and weight.shape[0] % MULTIPLE and rows >= 256:
        return padded_logits(hidden, weight)
    return F.linear(hidden, weight)


def padded_logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """Compute `lm_logits` by a product with a multiple of 64 columns: (..., D), (V, D) -> (..., V)."""
    v = weight.shape[0]
    return F.linear(hidden, F.pad(weight, (0, 0, 0, padded_vocabulary(v) - v)))[..., :v]
