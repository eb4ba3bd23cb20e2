"""Cross-entropy as a sum, in at least float32, without a second copy of the logits in it.

A batch's logits are its largest tensor by far. Here they are read in slices that fit the processor's cache, so that neither the
forward nor the backward pass makes another tensor of their size, except the one gradient that must exist.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gptkit.objective.precision import full_dtype

CACHED = 1 << 20
"""Logits per slice on a processor: 4 MiB in float32."""

LAUNCHED = 1 << 26
"""Logits per slice on an accelerator, where a launch costs more than a pass over memory."""


def cross_entropy_sum(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:  # (N, V), (N,), (N,) -> ()
    """The sum over rows of -log softmax(logits)[target], in nats, accumulated in float32, or in float64 for logits of it.

    Args:
        logits: (N, V) in any floating dtype; their gradient comes in the same one.
        targets: (N,) int64, below V.
        weights: (N,) float32, of each row's share; by default 1.
    """
    total: Tensor = _CrossEntropySum.apply(logits, targets, weights)  # type: ignore[no-untyped-call]
    return total


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(logits, targets, weights)
        dtype = full_dtype(logits)
        total = torch.zeros((), dtype=dtype, device=logits.device)
        rows = _rows_per_slice(logits)
        for place, (part, wanted) in enumerate(zip(torch.split(logits, rows), torch.split(targets, rows), strict=True)):
            likelihoods = torch.log_softmax(part, dim=1, dtype=dtype).gather(1, wanted[:, None])
            if weights is not None:
                likelihoods *= weights[place * rows : (place + 1) * rows, None]
            total -= likelihoods.sum()
        return total

    @staticmethod
    def backward(ctx: Any, *of_output: Tensor) -> tuple[Tensor, None, None]:
        """softmax - 1 at the target, times the row's weight and the gradient of the sum."""
        logits, targets, weights = ctx.saved_tensors
        (scale,) = of_output
        gradient, dtype = torch.empty_like(logits), full_dtype(logits)
        rows = _rows_per_slice(logits)
        minus_one = torch.full((min(rows, len(logits)), 1), -1.0, dtype=dtype, device=logits.device)
        pieces = zip(torch.split(logits, rows), torch.split(targets, rows), torch.split(gradient, rows), strict=True)
        for place, (part, wanted, into) in enumerate(pieces):
            slope = torch.softmax(part, dim=1, dtype=dtype)
            slope.scatter_add_(1, wanted[:, None], minus_one[: len(part)])
            if weights is not None:
                slope *= weights[place * rows : (place + 1) * rows, None]
            torch.mul(slope, scale, out=into)  # rounds to the dtype of the logits
        return gradient, None, None


def _rows_per_slice(logits: Tensor) -> int:
    return max(1, (CACHED if logits.device.type == "cpu" else LAUNCHED) // logits.size(1))
