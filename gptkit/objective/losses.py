"""Cross-entropy as a sum, in at least float32, without a second tensor of the size of the logits.

The logits are by far the largest tensor of a batch. They are read in slices that fit the processor's cache, so that the forward
pass allocates no second tensor of their size, and the backward pass allocates only their gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gptkit.objective.precision import upcast_dtype

LOGITS_PER_CPU_SLICE = 1 << 20
"""The number of logits of a slice on the CPU: 4 MiB in float32."""

LOGITS_PER_GPU_SLICE = 1 << 26
"""The number of logits of a slice on a GPU: large, since launching a kernel costs more than a pass over memory."""


def cross_entropy_sum(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:  # (N, V), (N,), (N,) -> ()
    """Return the weighted sum over rows of -log softmax(logits)[target] in nats, in float64 for float64 logits, else in float32.

    Args:
        logits: (N, V) in any floating dtype; their gradient has the same dtype.
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
        """Return the softmax minus one at the target, multiplied by the row's weight and the gradient of the sum."""
        logits, targets, weights = ctx.saved_tensors
        (scale,) = grad_outputs
        grad, dtype = torch.empty_like(logits), upcast_dtype(logits)
        rows = _rows_per_slice(logits)
        minus_one = torch.full((min(rows, len(logits)), 1), -1.0, dtype=dtype, device=logits.device)
        slices = zip(torch.split(logits, rows), torch.split(targets, rows), torch.split(grad, rows), strict=True)
        for number, (part, part_targets, part_grad) in enumerate(slices):
            slice_grad = torch.softmax(part, dim=1, dtype=dtype)
            slice_grad.scatter_add_(1, part_targets[:, None], minus_one[: len(part)])
            if weights is not None:
                slice_grad *= weights[number * rows : (number + 1) * rows, None]
            torch.mul(slice_grad, scale, out=part_grad)  # rounds to the dtype of the logits
        return grad, None, None


def _rows_per_slice(logits: Tensor) -> int:
    return max(1, (LOGITS_PER_CPU_SLICE if logits.device.type == "cpu" else LOGITS_PER_GPU_SLICE) // logits.size(1))
