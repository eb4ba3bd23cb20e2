"""Weights and optimizer state as whole tensors by name, however the devices hold them: what checkpoints store.

A run can so be continued, exported and read on any number of devices. Every device must call these together.
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
    """The same nest of dicts, lists and tuples with every distributed tensor made whole; other tensors are not copied."""
    if isinstance(value, Tensor):
        return value.full_tensor() if is_distributed(value) else value
    if isinstance(value, Mapping):
        return {key: unshard(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(unshard(item) for item in value)
    return value


def clone_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in memory of their own."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def optimizer_state_dict(optimizer: torch.optim.Optimizer, named: Iterable[tuple[str, Parameter]]) -> dict[str, Any]:
    """The optimizer's state by parameter name, whole: {"state": {name: entries}, "groups": [{"names": [...], other entries}]}."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in named}
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
    optimizer: torch.optim.Optimizer, named: Iterable[tuple[str, Parameter]], saved: Mapping[str, Any]
) -> None:
    """Give an optimizer over the same names what `optimizer_state` returned, cut as its parameters are now.

    Raises:
        CheckpointError: it is the state of another optimizer.
    """
    names: dict[Tensor, str] = {parameter: name for name, parameter in named}
    check_optimizer_state(optimizer, names, saved)
    group_of = {name: group for group in saved["groups"] for name in group["names"]}
    state: dict[int, dict[str, Any]] = {}
    groups = []
    for group in optimizer.param_groups:
        first = len(state)
        for parameter in group["params"]:
            entries = saved["state"].get(names[parameter], {})
            state[len(state)] = {key: _shard_if_distributed(parameter, value) for key, value in entries.items()}
        old = group_of[names[group["params"][0]]]
        kept = {key: value for key, value in old.items() if key != "names"}
        groups.append({**group, **kept, "params": list(range(first, len(state)))})  # a setting that is newer has its default
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def shard_like(own: Parameter, whole: Tensor) -> Tensor:
    """A whole tensor where a parameter of its shape is, and as that is: shared out over the devices, or on its device."""
    whole = whole.to(own.device)
    if not is_distributed(own):
        return whole
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = own
    return distribute_tensor(whole, sharded.device_mesh, sharded.placements)


def _shard_if_distributed(own: Parameter, value: Any) -> Any:
    shared_out = is_distributed(own) and isinstance(value, Tensor) and value.shape == own.shape
    return shard_like(own, value) if shared_out else value
