"""Context managers for evaluation within a training run. They restore the mode of the model and the random number generators."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Turn dropout off, but not gradients. Restores the mode of every submodule."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn off dropout and compilation (lengths differ in every call). Restores the random number generators."""
    devices = sorted({parameter.device.index or 0 for parameter in model.parameters() if parameter.is_cuda})
    with without_dropout(model), torch.random.fork_rng(devices=devices), torch.compiler.set_stance("force_eager"):
        yield


@contextlib.contextmanager
def decoding_mode(model: nn.Module) -> Iterator[None]:
    """Turn off dropout and gradients, with little overhead for a model that is already in evaluation mode.

    Sharded models in training do not use `torch.inference_mode`, since training uses the gathered weights again.
    """
    is_sharded = model.training and any(hasattr(parameter, "placements") for parameter in model.parameters())  # DTensor
    modes = without_dropout(model) if model.training else contextlib.nullcontext()
    with modes, torch.no_grad() if is_sharded else torch.inference_mode():
        yield
