"""What state.pt must hold, whoever wrote it, and whether the optimizer's part of it belongs to an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gptkit.errors import CheckpointError

MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")
"""Entries of an optimizer's state that have the shape of their parameter, as torch.optim names them."""


def check_state(state: Mapping[str, Any], *, step: int, where: str) -> None:
    """See that what is kept beside the weights can be used as it is; a key that is not there is not looked at.

    Args:
        state: the content of state.pt.
        step: of the checkpoint, by its manifest.
        where: its path, for the error.

    Raises:
        CheckpointError: an entry is of another type, or of another step.
    """
    for name, fits in _TYPES.items():
        if name in state and not fits(state[name]):
            raise CheckpointError(f"{where}: has something else under {name} than a run keeps there; {_WAY_OUT}")
    if state.get("step", step) != step:
        raise CheckpointError(f"{where}: is that of step {state['step']}, and the checkpoint is of step {step}; {_WAY_OUT}")


def check_optimizer_state(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str], saved: Mapping[str, Any], *, where: str = "state.pt"
) -> None:
    """See that a saved optimizer state has the parameters of an optimizer, their shapes, and settings of the same types.

    Raises:
        CheckpointError: it has not.
    """
    groups = {name: group for group in saved["groups"] for name in group["names"]}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[parameter]
            if name not in groups:
                raise CheckpointError(f"{where}: the optimizer's state lacks the parameter {name}; {_WAY_OUT}")
            for entry, value in saved["state"].get(name, {}).items():
                if entry in MOMENTS and (not isinstance(value, Tensor) or value.shape != parameter.shape):
                    raise CheckpointError(f"{where}: {entry} of {name} has not the shape of that parameter; {_WAY_OUT}")
            for key, own in group.items():
                if key != "params" and not _alike(groups[name].get(key, own), own):
                    raise CheckpointError(f"{where}: the optimizer's {key} is not of its kind; {_WAY_OUT}")


_WAY_OUT = "remove this checkpoint's folder to continue from the one before it"


def _alike(saved: Any, own: Any) -> bool:
    """Whether two settings of a parameter group are of one type: numbers alike, lists and tuples entry by entry."""
    if isinstance(own, bool) or own is None or isinstance(saved, bool) or saved is None:
        return isinstance(saved, bool | None) and isinstance(own, bool | None)
    if isinstance(own, int | float):
        return isinstance(saved, int | float)
    if isinstance(own, list | tuple):
        return isinstance(saved, list | tuple) and len(saved) == len(own) and all(map(_alike, saved, own))
    return isinstance(saved, type(own))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_step(value: Any) -> bool:
    return type(value) is int and -1 <= value < 1 << 63


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _mapping_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) for key in value) and all(map(fits, value.values()))
    )


def _is_optimizer(value: Any) -> bool:
    if not isinstance(value, Mapping) or not _mapping_of(lambda entries: isinstance(entries, Mapping))(value.get("state")):
        return False
    groups = value.get("groups")
    return isinstance(groups, Sequence) and all(
        isinstance(group, Mapping)
        and isinstance(group.get("names"), list | tuple)
        and all(isinstance(name, str) for name in group["names"])
        for group in groups
    )


_TYPES: dict[str, Callable[[Any], bool]] = {
    "step": _is_count,
    "tokens": _is_count,
    "val_loss": _or_none(_is_number),
    "val_metrics": _mapping_of(_is_number),
    "val_step": _is_step,
    "rank": _or_none(_is_number),
    "monitor": _or_none(lambda value: isinstance(value, str)),
    "monitor_mode": lambda value: value in ("min", "max"),
    "best_val_loss": _or_none(_is_number),
    "weights": _mapping_of(lambda value: isinstance(value, Tensor)),
    "micro": _is_count,
    "matrix_products": lambda value: isinstance(value, str) and "\0" not in value,
    "sources": _mapping_of(lambda value: isinstance(value, str)),
    "finished_early": lambda value: isinstance(value, bool),
    "scaler": lambda value: isinstance(value, Mapping),
    "optimizer": _is_optimizer,
    "callbacks": _mapping_of(lambda value: isinstance(value, Mapping)),
}
