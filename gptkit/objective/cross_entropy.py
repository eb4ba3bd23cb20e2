"""Cross-entropy as a sum, in float32, without a second copy of the logits in float32.

A batch's logits are its largest tensor by far. Here they are read in slices that fit the processor's cache, so that neither the
forward nor the backward pass makes another tensor of their size, except the one gradient that must exist.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CACHED = 1 << 20
"""Logits per slice on a processor: 4 MiB in float32."""

LAUNCHED = 1 << 26
"""Logits per slice on an accelerator, where a launch costs more than a pass over memory."""


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:  # (N, V), (N,) -> ()
    """The sum over rows of -log softmax(logits)[target], in nats, accumulated in float32.

    Args:
        logits: (N, V) in any floating dtype; their gradient comes in the same one.
        targets: (N,) int64, below V.
    """
    total: Tensor = _CrossEntropySum.apply(logits, targets)  # type: ignore[no-untyped-call]
    return total


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.save_for_backward(logits, targets)
        total = torch.zeros((), dtype=torch.float32, device=logits.device)
        rows = _rows_per_slice(logits)
        for part, wanted in zip(torch.split(logits, rows), torch.split(targets, rows), strict=True):
            total -= torch.log_softmax(part, dim=1, dtype=torch.float32).gather(1, wanted[:, None]).sum()
        return total

    @staticmethod
    def backward(ctx: Any, *of_output: Tensor) -> tuple[Tensor, None]:
        """softmax - 1 at the target, times the gradient of the sum."""
        logits, targets = ctx.saved_tensors
        (scale,) = of_output
        gradient = torch.empty_like(logits)
        rows = _rows_per_slice(logits)
        minus_one = torch.full((min(rows, len(logits)), 1), -1.0, device=logits.device)
        for part, wanted, into in zip(
            torch.split(logits, rows), torch.split(targets, rows), torch.split(gradient, rows), strict=True
        ):
            slope = torch.softmax(part, dim=1, dtype=torch.float32)
            slope.scatter_add_(1, wanted[:, None], minus_one[: len(part)])
            torch.mul(slope, scale, out=into)  # rounds to the dtype of the logits
        return gradient, None


def _rows_per_slice(logits: Tensor) -> int:
    return max(1, (CACHED if logits.device.type == "cpu" else LAUNCHED) // logits.size(1))
