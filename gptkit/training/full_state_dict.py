"""Converts weights and optimizer state between the shards of the devices and full tensors by name, which checkpoints hold.

A run can therefore be resumed, exported and read on any number of devices. All devices must call these functions together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from gptkit.optimizer.groups import is_distributed
from gptkit.training.checkpoints.schemas import check_optimizer_state


def unshard(value: Any) -> Any:
    """Return nested dicts, lists and tuples with every distributed tensor replaced by its full tensor.

    Other tensors are not copied.
    """
    if isinstance(value, Tensor):
        return value.full_tensor() if is_distributed(value) else value
    if isinstance(value, Mapping):
        return {key: unshard(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(unshard(item) for item in value)
    return value


def clone_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of the tensors."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def optimizer_state_dict(optimizer: torch.optim.Optimizer, named_parameters: Iterable[tuple[str, Parameter]]) -> dict[str, Any]:
    """Return the full optimizer state by parameter name: {"state": {name: entries}, "groups": [{"names": [...], ...}]}."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in named_parameters}
    return {
        "state": {names[parameter]: unshard(dict(entries)) for parameter, entries in optimizer.state.items()},
        "groups": [
            {
                "names": [names[parameter] for parameter in group["params"]],
                **{key: value for key, value in group.items() if key != "params"},
            }
            for group in optimizer.param_groups
        ],
    }


def load_optimizer_state_dict(
    optimizer: torch.optim.Optimizer, named_parameters: Iterable[tuple[str, Parameter]], saved: Mapping[str, Any]
) -> None:
    """Load the result of `optimizer_state_dict` into an optimizer of the same parameter names, sharded like its parameters.

    Raises:
        CheckpointError: the state belongs to another optimizer.
    """
    names: dict[Tensor, str] = {parameter: name for name, parameter in named_parameters}
    check_optimizer_state(optimizer, names, saved)
    group_of = {name: group for group in saved["groups"] for name in group["names"]}
    state: dict[int, dict[str, Any]] = {}
    groups = []
    for group in optimizer.param_groups:
        first = len(state)
        for parameter in group["params"]:
            entries = saved["state"].get(names[parameter], {})
            state[len(state)] = {key: _shard_if_distributed(parameter, value) for key, value in entries.items()}
        saved_group = group_of[names[group["params"][0]]]
        hyperparameters = {key: value for key, value in saved_group.items() if key != "names"}
        # a hyperparameter that is newer than the checkpoint keeps its default
        groups.append({**group, **hyperparameters, "params": list(range(first, len(state)))})
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def shard_like(parameter: Parameter, tensor: Tensor) -> Tensor:
    """Return a full tensor on the device of a parameter of its shape, and sharded like it if the parameter is distributed."""
    tensor = tensor.to(parameter.device)
    if not is_distributed(parameter):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = parameter
    return distribute_tensor(tensor, sharded.device_mesh, sharded.placements)


def _shard_if_distributed(parameter: Parameter, value: Any) -> Any:
    is_sharded = is_distributed(parameter) and isinstance(value, Tensor) and value.shape == parameter.shape
    return shard_like(parameter, value) if is_sharded else value
