"""An exponential moving average of a model's weights: what is validated, sampled, saved and exported, where a run keeps one.

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
    """Of all parameters that a model trains. It begins as a copy of them; once used, it is where they are, cut as they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Args:
        model: with its weights, whole, as they are to be averaged from now on; it is moved and shared out afterwards.
        decay: share of the average that an update leaves as it is, above 0 and below 1.
        """
        self._model = model
        self._whole = {name: parameter.detach().clone() for name, parameter in _trainable_parameters(model).items()}
        self._kept: dict[str, Tensor] = {}
        self._move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self) -> None:
        """After an update of the weights: average = decay * average + (1 - decay) * weights."""
        own = {name: _local(parameter) for name, parameter in _trainable_parameters(self._model).items()}
        self._move([self.weights()[name] for name in own], list(own.values()), 0)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the model's weights are the average; afterwards they are what they were."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        kept = self.weights()
        for name, parameter in _trainable_parameters(self._model).items():
            own = _local(parameter)
            aside = own.clone()
            own.copy_(kept[name])
            kept[name].copy_(aside)

    def weights(self) -> Mapping[str, Tensor]:
        """The average by parameter name, this device's share of it."""
        if self._whole:  # the model has its place by now; sharding also makes parameters of its own
            self._kept = {
                name: _local(shard_like(parameter, self._whole[name]))
                for name, parameter in _trainable_parameters(self._model).items()
            }
            self._whole = {}
        return self._kept


def _trainable_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """By name; what devices share and gathered for a pass is let go first, or the next pass would miss a change."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if is_distributed(tensor) else tensor
