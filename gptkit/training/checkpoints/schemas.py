"""The expected content of manifest.json and state.pt, and whether a saved optimizer state fits an optimizer."""

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

LARGEST = 1 << 63
"""Above every step and size."""

REQUIRED = ("model.safetensors", "state.pt", "config.yaml")
"""Files that every checkpoint has."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_manifest(body: Mapping[str, Any]) -> None:
    """See that the content of a manifest.json can be used as it is.

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
        named = isinstance(part, dict) and all(isinstance(part.get(name), str) for name in ("name", "distribution"))
        _check(named, f"parts.{key}", "an object with name and distribution")
    hub = body.get("hub", {})
    _check(isinstance(hub, dict) and all(isinstance(commit, str) for commit in hub.values()), "hub", "an object of texts")
    _check_files(body.get("files"))


def _check_files(files: Any) -> None:
    _check(isinstance(files, dict), "files", "an object")
    for name, file in files.items():
        if not _stays_inside(name):
            raise DamagedFile(f"names {name[:80]!r}, which is no file of a checkpoint")
        _check(isinstance(file, dict), f"files.{name}", "an object")
        _check(_is_count(file.get("bytes")), f"files.{name}.bytes", "a whole number")
        digest = file.get("sha256")
        _check(isinstance(digest, str) and _SHA256.fullmatch(digest) is not None, f"files.{name}.sha256", "a SHA-256")
    for name in REQUIRED:
        if name not in files:
            raise DamagedFile(f"does not name {name}, which every checkpoint has")


def _stays_inside(name: str) -> bool:
    """Whether a path is that of a file below the folder: relative, spelt in one way, and without a step upward."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name and "\0" not in name


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _is_loss(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST and math.isfinite(value)


def _check(fits: bool, name: str, kind: str) -> None:
    if not fits:
        raise DamagedFile(f"has something else than {kind} under {name[:80]}")


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
                if entry in MOMENTS and (not _is_tensor(value) or value.shape != parameter.shape):
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


def _is_step(value: Any) -> bool:
    return type(value) is int and -1 <= value < 1 << 63


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


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
    "weights": _mapping_of(_is_tensor),
    "micro": _is_count,
    "matrix_products": lambda value: isinstance(value, str) and "\0" not in value,
    "sources": _mapping_of(lambda value: isinstance(value, str)),
    "finished_early": lambda value: isinstance(value, bool),
    "scaler": lambda value: isinstance(value, Mapping),
    "optimizer": _is_optimizer,
    "callbacks": _mapping_of(lambda value: isinstance(value, Mapping)),
}
