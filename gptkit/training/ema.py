"""An exponential moving average of a model's weights. A run that keeps one validates, samples, saves and exports with it.

Source: "Training language models to follow instructions with human feedback", appendix C.4 (decay 0.992); the average itself is
PyTorch's (torch.optim.swa_utils).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gptkit.optimizer.groups import is_distributed
from gptkit.training.full_state_dict import shard_like


class EMA:
    """The moving average of all trained parameters of a model. It starts as a copy of them, and is sharded like them."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Copy the trained parameters.

        Args:
            model: the model with its full weights, before it is moved to a device or sharded.
            decay: weight of the previous average in an update, above 0 and below 1.
        """
        self._model = model
        self._full = {name: parameter.detach().clone() for name, parameter in _trainable_parameters(model).items()}
        self._average: dict[str, Tensor] = {}
        self._update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self) -> None:
        """Update the average after an optimizer step: average = decay * average + (1 - decay) * weights."""
        weights = {name: _local(parameter) for name, parameter in _trainable_parameters(self._model).items()}
        self._update([self.weights()[name] for name in weights], list(weights.values()), 0)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Return a context in which the model has the averaged weights. Its own weights are restored on exit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        average = self.weights()
        for name, parameter in _trainable_parameters(self._model).items():
            weights = _local(parameter)
            copy = weights.clone()
            weights.copy_(average[name])
            average[name].copy_(copy)

    def weights(self) -> Mapping[str, Tensor]:
        """Return the average by parameter name; of a sharded model, this device's shard."""
        if self._full:  # the first call, when the model is on its device and sharding has replaced its parameters
            parameters = _trainable_parameters(self._model)
            self._average = {name: _local(shard_like(parameter, self._full[name])) for name, parameter in parameters.items()}
            self._full = {}
        return self._average


def _trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trainable parameters by name.

    FSDP modules are resharded first; otherwise the next pass would use unsharded weights without the change.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if is_distributed(tensor) else tensor
