"""Cross-entropy as a sum, in at least float32, without another tensor of the size of the logits.

The logits are by far the largest tensor of a batch. They are read in slices that fit the processor's cache, so that the forward
pass allocates no other tensor of their size, and the backward pass only their gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gptkit.objective.precision import upcast_dtype

LOGITS_PER_CPU_SLICE = 1 << 20
"""4 MiB in float32."""

LOGITS_PER_GPU_SLICE = 1 << 26
"""Large, since launching a kernel costs more than a pass over memory."""


def cross_entropy_sum(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:  # (N, V), (N,), (N,) -> ()
    """The weighted sum over rows of -log softmax(logits)[target], in nats, in float32, or in float64 for logits in float64.

    Args:
        logits: (N, V) in any floating dtype, which is also that of their gradient.
        targets: (N,) int64, below V.
        weights: (N,) float32, one per row. Default: 1.
    """
    total: Tensor = _CrossEntropySum.apply(logits, targets, weights)  # type: ignore[no-untyped-call]
    return total


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(logits, targets, weights)
        dtype = upcast_dtype(logits)
        total = torch.zeros((), dtype=dtype, device=logits.device)
        rows = _rows_per_slice(logits)
        for number, (part, part_targets) in enumerate(zip(torch.split(logits, rows), torch.split(targets, rows), strict=True)):
            log_probs = torch.log_softmax(part, dim=1, dtype=dtype).gather(1, part_targets[:, None])
            if weights is not None:
                log_probs *= weights[number * rows : (number + 1) * rows, None]
            total -= log_probs.sum()
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        """Returns softmax - 1 at the target, times the row's weight and the gradient of the sum."""
        logits, targets, weights = ctx.saved_tensors
        (scale,) = grad_outputs
        grad, dtype = torch.empty_like(logits), upcast_dtype(logits)
        rows = _rows_per_slice(logits)
        minus_one = torch.full((min(rows, len(logits)), 1), -1.0, dtype=dtype, device=logits.device)
        slices = zip(torch.split(logits, rows), torch.split(targets, rows), torch.split(grad, rows), strict=True)
        for number, (part, part_targets, part_grad) in enumerate(slices):
            slope = torch.softmax(part, dim=1, dtype=dtype)
            slope.scatter_add_(1, part_targets[:, None], minus_one[: len(part)])
            if weights is not None:
                slope *= weights[number * rows : (number + 1) * rows, None]
            torch.mul(slope, scale, out=part_grad)  # rounds to the dtype of the logits
        return grad, None, None


def _rows_per_slice(logits: Tensor) -> int:
    return max(1, (LOGITS_PER_CPU_SLICE if logits.device.type == "cpu" else LOGITS_PER_GPU_SLICE) // logits.size(1))
