"""The end of a step: clip the gradient, refuse one that is not finite, move the weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.optimizer import OptimizerConfig
from gptkit.training.step import global_gradient_norm, scale_gradients

FINITE_CHECK_EVERY = 16
"""Steps between looks at the gradient's norm on accelerators, where looking waits for the device."""


CONSTANT_LR = "steady"
"""Entry of a parameter group whose learning rate no schedule moves."""


def build_optimizer(
    settings: OptimizerConfig, parameters: Iterable[tuple[str, torch.nn.Parameter]], rates: Mapping[str, float]
) -> torch.optim.Optimizer:
    """One optimizer over all parameters.

    Args:
        settings: the part; its `lr` is the peak of all whose name begins with none of `rates`.
        parameters: names, which begin with `model.` or `objective.`, and tensors.
        rates: learning rates that no schedule moves, by how names of the objective's parameters begin.
    """
    shared: list[tuple[str, torch.nn.Parameter]] = []
    own: dict[str, list[tuple[str, torch.nn.Parameter]]] = {prefix: [] for prefix in rates}
    for name, parameter in parameters:
        prefix = next((prefix for prefix in rates if name.startswith(f"objective.{prefix}")), None)
        (shared if prefix is None else own[prefix]).append((name, parameter))
    optimizer = settings.build(parameters=shared)
    for prefix, named in own.items():
        for group in dataclasses.replace(settings, lr=rates[prefix]).build(parameters=named).param_groups:
            optimizer.add_param_group({**group, CONSTANT_LR: True})
    return optimizer


class Update:
    """Moves the weights of one optimizer."""

    scaler: torch.amp.GradScaler | None = None
    """Of fp16 training: it skips steps whose gradient is not finite by itself, to find its scale."""

    def __init__(self, optimizer: torch.optim.Optimizer, *, clip: float) -> None:
        """Args:
        optimizer: with the parameters that are trained.
        clip: largest global norm of a gradient; 0: any.
        """
        self._optimizer = optimizer
        self._clip = clip
        self._trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._unseen: list[Tensor] = []

    def apply(self, optimizer: LightningOptimizer, *, step: int, lr: float, saved_step: int) -> Tensor:
        """Use the gradients that the parameters hold, and drop them.

        Args:
            optimizer: ours, as Lightning wraps it.
            step: that is being made, from 1.
            lr, saved_step: learning rate and step of the last checkpoint (-1: none), for the error.

        Returns:
            The gradient's global norm before clipping, a scalar.

        Raises:
            GptkitError: it is not finite. On accelerators this may be known some steps later.
        """
        if self.scaler is not None:
            self.scaler.unscale_(self._optimizer)
        gradients = [parameter.grad for parameter in self._trained if parameter.grad is not None]
        norm = global_gradient_norm(gradients)
        if norm.device.type == "cpu":
            length = norm.item()
            if not math.isfinite(length):
                raise _not_finite(step, lr, saved_step)
            if 0.0 < self._clip < length:
                scale_gradients(gradients, norm, self._clip)
        else:
            if self._clip > 0.0:
                scale_gradients(gradients, norm, self._clip)
            if self.scaler is None:
                self._unseen.append(norm)
                if len(self._unseen) >= FINITE_CHECK_EVERY:
                    self.look(step=step, lr=lr, saved_step=saved_step)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(self._optimizer)
            self.scaler.update()
        optimizer.zero_grad()
        return norm

    def look(self, *, step: int, lr: float, saved_step: int) -> None:
        """Look at the gradient norms that nobody has looked at yet, the last of which belongs to `step`.

        Raises:
            GptkitError: one is not finite.
        """
        if not self._unseen:
            return
        finite = torch.stack(self._unseen).isfinite().tolist()
        self._unseen = []
        if not all(finite):
            raise _not_finite(step - len(finite) + finite.index(False) + 1, lr, saved_step)


def _not_finite(step: int, lr: float, saved_step: int) -> GptkitError:
    at = f"its last checkpoint is step {saved_step}" if saved_step >= 0 else "it has no checkpoint yet"
    return GptkitError(
        f"the gradient of step {step} is not finite (learning rate {lr:.3g}); nothing was saved since, {at}: "
        "lower optimizer.lr, lengthen optimizer.schedule.warmup, or set trainer.precision=32-true"
    )
