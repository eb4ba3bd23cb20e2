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


class Average:
    """Of all parameters that a model trains. It begins as a copy of them, where they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Args:
        model: with its weights as they are to be averaged from now on.
        decay: share of the average that an update leaves as it is, above 0 and below 1.
        """
        self._trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._kept = {name: _local(parameter).detach().clone() for name, parameter in self._trained.items()}
        self._move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self) -> None:
        """After an update of the weights: average = decay * average + (1 - decay) * weights."""
        self._move(list(self._kept.values()), [_local(parameter) for parameter in self._trained.values()], 0)

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
        for name, parameter in self._trained.items():
            own, kept = _local(parameter), self._kept[name]
            aside = own.clone()
            own.copy_(kept)
            kept.copy_(aside)

    def weights(self) -> Mapping[str, Tensor]:
        """The average by parameter name, this device's share of it."""
        return self._kept


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if is_distributed(parameter) else parameter
