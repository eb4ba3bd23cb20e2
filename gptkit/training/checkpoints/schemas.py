"""Checks the content of manifest.json and state.pt, and that a saved optimizer state matches an optimizer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from gptkit.errors import CheckpointError
from gptkit.kit_files import DamagedFile

if TYPE_CHECKING:  # the command line reads manifests without loading torch
    import torch
    from torch import Tensor

LIMIT = 1 << 63
"""Steps, sizes and losses are below this number."""

REQUIRED = ("state.pt", "config.yaml")
"""Files that every checkpoint has, besides the weights of a model or an adapter."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_manifest(body: Mapping[str, Any]) -> None:
    """Check that the content of a manifest.json is valid.

    Raises:
        DamagedFile: a key is missing, has a value of another type, or names a file outside the folder.
    """
    for name in ("format", "step", "vocabulary"):
        _check(_is_count(body.get(name)), name, "a whole number")
    for name in ("val_loss", "merit"):
        _check(_is_loss(body.get(name)), name, "a number or null")
    _check(isinstance(body.get("tokenizer"), str), "tokenizer", "a text")
    parts = body.get("parts")
    _check(isinstance(parts, dict), "parts", "an object")
    assert isinstance(parts, dict)
    for key, part in parts.items():
        is_valid = isinstance(part, dict) and all(isinstance(part.get(name), str) for name in ("name", "distribution"))
        _check(is_valid, f"parts.{key}", "an object with name and distribution")
    hub = body.get("hub", {})
    _check(isinstance(hub, dict) and all(isinstance(commit, str) for commit in hub.values()), "hub", "an object of texts")
    base = body.get("base", {})
    _check(isinstance(base, dict) and all(isinstance(text, str) for text in base.values()), "base", "an object of texts")
    _check(not base or base.keys() == {"key", "path", "relative", "fingerprint"}, "base", "the base of an adapter")
    _check_files(body.get("files"), "adapter.safetensors" if base else "model.safetensors")


def _check_files(files: Any, weights: str) -> None:
    _check(isinstance(files, dict), "files", "an object")
    for name, file in files.items():
        if not _stays_inside(name):
            raise DamagedFile(f"names {name[:80]!r}, which is not a path inside the checkpoint")
        _check(isinstance(file, dict), f"files.{name}", "an object")
        _check(_is_count(file.get("bytes")), f"files.{name}.bytes", "a whole number")
        digest = file.get("sha256")
        _check(isinstance(digest, str) and _SHA256.fullmatch(digest) is not None, f"files.{name}.sha256", "a SHA-256")
    for name in (weights, *REQUIRED):
        if name not in files:
            raise DamagedFile(f"does not name {name}, which every checkpoint has")


def _stays_inside(name: str) -> bool:
    """Return whether a path is relative, normalized and below the folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name and "\0" not in name


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LIMIT


def _is_loss(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LIMIT and math.isfinite(value)


def _check(is_valid: bool, name: str, kind: str) -> None:
    if not is_valid:
        raise DamagedFile(f"does not hold {kind} under {name[:80]}")


MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")
"""Entries of an optimizer's state that have the shape of their parameter, as torch.optim names them."""


def check_state(state: Mapping[str, Any], *, step: int, where: str) -> None:
    """Check that the entries of a training state are valid. Missing entries are not checked.

    Args:
        state: the content of state.pt.
        step: the step of the checkpoint in its manifest.
        where: the path of state.pt, for errors.

    Raises:
        CheckpointError: an entry has another type, or the state is of another step.
    """
    for name, is_valid in _TYPES.items():
        if name in state and not is_valid(state[name]):
            raise CheckpointError(f"{where}: the entry {name} is not of the type that a run writes; {_WAY_OUT}")
    if state.get("step", step) != step:
        raise CheckpointError(f"{where}: is the state of step {state['step']}, and the checkpoint is of step {step}; {_WAY_OUT}")


def check_optimizer_state(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str], saved: Mapping[str, Any], *, where: str = "state.pt"
) -> None:
    """Check that a saved optimizer state has the parameters of an optimizer, their shapes, and settings of the same types.

    Raises:
        CheckpointError: the state does not match the optimizer.
    """
    groups = {name: group for group in saved["groups"] for name in group["names"]}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[parameter]
            if name not in groups:
                raise CheckpointError(f"{where}: the optimizer's state lacks the parameter {name}; {_WAY_OUT}")
            for entry, value in saved["state"].get(name, {}).items():
                if entry in MOMENTS and (not _is_tensor(value) or value.shape != parameter.shape):
                    raise CheckpointError(f"{where}: {entry} of {name} does not have the shape of that parameter; {_WAY_OUT}")
            for key, value in group.items():
                if key != "params" and not _has_same_type(groups[name].get(key, value), value):
                    raise CheckpointError(f"{where}: the optimizer's {key} has another type; {_WAY_OUT}")


_WAY_OUT = "remove this checkpoint's folder to continue from the previous checkpoint"


def _has_same_type(saved: Any, value: Any) -> bool:
    """Return whether two settings of a parameter group have the same type. Integers and floats count as one type."""
    if isinstance(value, bool) or value is None or isinstance(saved, bool) or saved is None:
        return isinstance(saved, bool | None) and isinstance(value, bool | None)
    if isinstance(value, int | float):
        return isinstance(saved, int | float)
    if isinstance(value, list | tuple):
        return isinstance(saved, list | tuple) and len(saved) == len(value) and all(map(_has_same_type, saved, value))
    return isinstance(saved, type(value))


def _is_step(value: Any) -> bool:
    return type(value) is int and -1 <= value < 1 << 63


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _or_none(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_valid(value)


def _mapping_of(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) for key in value) and all(map(is_valid, value.values()))
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
    "value_to_minimize": _or_none(_is_number),
    "monitor": _or_none(lambda value: isinstance(value, str)),
    "monitor_mode": lambda value: value in ("min", "max"),
    "best_val_loss": _or_none(_is_number),
    "weights": _mapping_of(_is_tensor),
    "micro": _is_count,
    "matrix_products": lambda value: isinstance(value, str) and "\0" not in value,
    "sources": _mapping_of(lambda value: isinstance(value, str)),
    "finished_early": lambda value: isinstance(value, bool),
    "scaler": lambda value: isinstance(value, Mapping),
    "optimizer": _is_optimizer,
    "callbacks": _mapping_of(lambda value: isinstance(value, Mapping)),
}
