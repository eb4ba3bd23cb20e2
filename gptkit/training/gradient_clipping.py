"""Clips the gradient by its global norm, and stops the run when it is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.optimizer.groups import is_distributed

FINITE_CHECK_EVERY = 16
"""Steps between two checks for a finite norm on accelerators, where reading the norm waits for the device."""


class GradientClipper:
    """Clips the gradient of every step as torch.nn.utils.clip_grad_norm_ does, and checks that it is finite.

    On a CPU each norm is checked at once. On an accelerator norms are collected and checked together, so that the host does not
    wait for the device at every step.
    """

    def __init__(self, max_norm: float) -> None:
        """Create a clipper.

        Args:
            max_norm: largest global norm of a gradient; 0 turns clipping off.
        """
        self.max_norm = max_norm
        self._unchecked: list[Tensor] = []

    def clip(self, gradients: Sequence[Tensor], *, step: int, lr: float, saved_step: int, may_overflow: bool = False) -> Tensor:
        """Clip the gradients in place.

        Args:
            gradients: the gradients of all trained parameters.
            step: number of the step, from 1.
            lr, saved_step: learning rate, and step of the last checkpoint (-1: none), for the error message.
            may_overflow: whether a gradient scaler skips steps whose gradient is not finite, so that accelerators need no check.

        Returns:
            The global norm before clipping, a scalar.

        Raises:
            GptkitError: the norm is not finite. On accelerators this may be detected some steps later.
        """
        norm = global_gradient_norm(gradients)
        if norm.device.type == "cpu":
            value = norm.item()
            if not math.isfinite(value):
                raise _not_finite_error(step, lr, saved_step)
            if 0.0 < self.max_norm < value:
                scale_gradients(gradients, norm, self.max_norm)
            return norm
        if self.max_norm > 0.0:
            scale_gradients(gradients, norm, self.max_norm)
        if not may_overflow:
            self._unchecked.append(norm)
            if len(self._unchecked) >= FINITE_CHECK_EVERY:
                self.check_finite(step=step, lr=lr, saved_step=saved_step)
        return norm

    def check_finite(self, *, step: int, lr: float, saved_step: int) -> None:
        """Check the norms that have not been checked yet. The last of them belongs to `step`.

        Raises:
            GptkitError: one of them is not finite.
        """
        if not self._unchecked:
            return
        is_finite = torch.stack(self._unchecked).isfinite().tolist()
        self._unchecked = []
        if not all(is_finite):
            raise _not_finite_error(step - len(is_finite) + is_finite.index(False) + 1, lr, saved_step)


def global_gradient_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm of all gradients together, a scalar. The shards of a tensor count as one tensor."""
    if not any(is_distributed(gradient) for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients)
    norms = [torch.nn.utils.get_total_norm([gradient]) for gradient in gradients]
    return torch.nn.utils.get_total_norm([norm.full_tensor() if is_distributed(norm) else norm for norm in norms])


def scale_gradients(gradients: Sequence[Tensor], norm: Tensor, max_norm: float) -> None:
    """Scale the gradients in place so that their global norm is at most `max_norm`."""
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_([gradient.to_local() if is_distributed(gradient) else gradient for gradient in gradients], factor)


def _not_finite_error(step: int, lr: float, saved_step: int) -> GptkitError:
    checkpoint = f"the last checkpoint is step {saved_step}" if saved_step >= 0 else "there is no checkpoint yet"
    return GptkitError(
        f"the gradient of step {step} is not finite (learning rate {lr:.3g}); {checkpoint}: "
        "lower optimizer.lr, lengthen optimizer.schedule.warmup, or set trainer.precision=32-true"
    )
