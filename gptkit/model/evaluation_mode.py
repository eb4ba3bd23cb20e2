"""Evaluation mode inside a training run: context managers that leave the model, and everything random, as they found it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Turn dropout off. Gradients flow, and every submodule gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn dropout and compilation off (lengths differ at every call); restore the random number generators afterwards."""
    devices = sorted({parameter.device.index or 0 for parameter in model.parameters() if parameter.is_cuda})
    with without_dropout(model), torch.random.fork_rng(devices=devices), torch.compiler.set_stance("force_eager"):
        yield


@contextlib.contextmanager
def decoding_mode(model: nn.Module) -> Iterator[None]:
    """Turn dropout and gradients off, at next to no cost for a model that is in evaluation mode already.

    Sharded weights of a model in training do not survive `torch.inference_mode`: training uses the gathered copies again.
    """
    is_sharded = model.training and any(hasattr(parameter, "placements") for parameter in model.parameters())  # DTensor
    modes = without_dropout(model) if model.training else contextlib.nullcontext()
    with modes, torch.no_grad() if is_sharded else torch.inference_mode():
        yield
