"""What earlier versions wrote, in today's names: the one place that knows how config.yaml, state.pt and weights were once called.

Nothing is rewritten on disk. Whoever reads a config.yaml, a state, a manifest or weights passes what was read through the function
here, and everything behind it knows today's names alone. No number of a format is needed: an old name that is there is renamed,
an entry that is missing takes what it would have been before it existed. A change of a name adds one line to a table; a config key
that is merely new needs none, because it takes the default of its dataclass.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_KEYS: dict[str, str | None] = {"objective.doctor": "objective.sanity_checks"}
"""Keys of config.yaml, dotted: old -> new, or None where the key is gone and meant nothing any more. `*` stands for any one key,
and in the new name for the same: "callback.*.limit": "callback.*.threshold"."""

STATE_NAMES: dict[str, str | None] = {"merit": "rank", "compared_by": "monitor"}
"""Entries of state.pt, as CONFIG_KEYS: "best": "best_val_loss"."""

MANIFEST_NAMES: dict[str, str | None] = {}
"""Entries of manifest.json, as CONFIG_KEYS."""

TENSOR_NAMES: dict[str, str] = {}
r"""Weights of models and objectives, everywhere that they have names (averages and the optimizer's state, too): a regular
expression of a part of the name -> its replacement, as in `re.sub`: r"\bblocks\.(\d+)\.mlp\b": r"blocks.\1.feed_forward"."""

STATE_DEFAULTS: dict[str, Any] = {
    "val_loss": None,
    "val_metrics": {},
    "val_step": -1,
    "rank": None,
    "monitor": None,
    "monitor_mode": "min",
    "best_val_loss": None,
    "weights": {},
    "micro": 0,
    "sources": {},
    "matrix_products": "",
    "finished_early": False,
    "scaler": {},
    "callbacks": {},
}
"""What an entry of state.pt was, in effect, in versions that did not keep it. An entry that is not here cannot be done without."""


def current_config(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a config.yaml, its keys named as they are today."""
    return rename_keys(content, CONFIG_KEYS)


def current_manifest(body: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a manifest.json, its entries named as they are today."""
    return rename_keys(body, MANIFEST_NAMES)


def current_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a state.pt, entries and weights named as they are today, those that it lacks as they were in effect."""
    current = copy.deepcopy(STATE_DEFAULTS) | rename_keys(state, STATE_NAMES)
    if "monitor_mode" not in state and current["monitor"] is not None:
        current["monitor_mode"] = "max"  # of every metric but the loss
    current["weights"] = current_tensors(current["weights"])
    optimizer = current.get("optimizer")
    if TENSOR_NAMES and isinstance(optimizer, Mapping):
        groups = [{**group, "names": [current_name(name) for name in group["names"]]} for group in optimizer["groups"]]
        current["optimizer"] = {
            "state": {current_name(name): entry for name, entry in optimizer["state"].items()},
            "groups": groups,
        }
    return current


def current_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by name, named as they are today."""
    return {current_name(name): tensor for name, tensor in tensors.items()}


def current_name(name: str) -> str:
    """Today's name of a weight."""
    for old, new in TENSOR_NAMES.items():
        name = re.sub(old, new, name)
    return name


def rename_keys(content: Mapping[str, Any], table: Mapping[str, str | None]) -> dict[str, Any]:
    """The content with every key of the table under its new name. What already has the new name stays as it is.

    Args:
        content: nested mappings; they are not changed.
        table: dotted keys, old -> new or None; see CONFIG_KEYS.
    """
    renamed = _copy_mappings(content)
    for old, new in table.items():
        for value, wildcards in _pop(renamed, old.split(".")):
            if new is not None:
                _put(renamed, _fill_wildcards(new.split("."), wildcards), value)
    return renamed


def _copy_mappings(content: Mapping[str, Any]) -> dict[str, Any]:
    """The mappings copied, so that they may be changed; values, which may be tensors, as they are."""
    return {key: _copy_mappings(value) if isinstance(value, Mapping) else value for key, value in content.items()}


def _pop(content: dict[str, Any], path: list[str]) -> list[tuple[Any, list[str]]]:
    """Remove what is at a path; gives each value with the keys that stood in the place of `*`."""
    key, *rest = path
    removed: list[tuple[Any, list[str]]] = []
    for name in list(content) if key == "*" else [key] if key in content else []:
        wildcards = [name] if key == "*" else []
        if not rest:
            removed.append((content.pop(name), wildcards))
        elif isinstance(content[name], dict):
            removed += [(value, [*wildcards, *deeper]) for value, deeper in _pop(content[name], rest)]
    return removed


def _fill_wildcards(path: list[str], wildcards: list[str]) -> list[str]:
    names = iter(wildcards)
    return [next(names) if key == "*" else key for key in path]


def _put(content: dict[str, Any], path: list[str], value: Any) -> None:
    *owners, last = path
    for owner in owners:
        content = content.setdefault(owner, {})
    content.setdefault(last, value)
