"""Weights and optimizer state as whole tensors, however the devices hold them: what checkpoints store.

A run can so be continued, exported and read on any number of devices. Every device must call these together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def gathered(value: Any) -> Any:
    """The same nest of dicts, lists and tuples with every sharded tensor made whole; other tensors are not copied."""
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        return value.full_tensor()
    if isinstance(value, Mapping):
        return {key: gathered(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(item) for item in value)
    return value


def load_weights(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy whole tensors into a module that may be sharded.

    Raises:
        RuntimeError: a name or shape differs.
    """
    own = module.state_dict()
    module.load_state_dict({name: _cut_like(own.get(name), tensor) for name, tensor in state.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Give an optimizer the state_dict that `gathered` made whole, cut as its parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    cut = {
        index: {name: _cut_like(parameters[index], value) for name, value in entries.items()}
        for index, entries in state["state"].items()
    }
    optimizer.load_state_dict({"state": cut, "param_groups": state["param_groups"]})


def _cut_like(own: Tensor | None, value: Any) -> Any:
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(own, DTensor) and isinstance(value, Tensor) and value.shape == own.shape:
        return distribute_tensor(value.to(own.device), own.device_mesh, own.placements)
    return value
