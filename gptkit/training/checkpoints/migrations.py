"""Migrates the content of config.yaml, state.pt, manifest.json and weights of earlier versions to current names.

No file is rewritten. Code that reads one of these files passes its content through a function of this module; all other code uses
only current names. There is no format version: an old name is renamed, and a missing entry gets the value that was in effect
before the entry existed. Renaming an entry adds one line to a table. A new config key needs none, because its dataclass has a
default.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_KEYS: dict[str, str | None] = {
    "objective.doctor": "objective.sanity_checks",
    "objective.template": "chat_template.name",
}
"""Dotted keys of config.yaml: old -> new, or None to drop the key. `*` matches any one key and is copied to the new name:
"callback.*.limit": "callback.*.threshold"."""

PART_NAMES: dict[tuple[str, str], str] = {
    ("callback.*.tasks.*.name", "likely_option"): "choice",
    ("callback.*.name", "zero_shot"): "evaluation",
}
"""Former names of parts: (dotted key of config.yaml, old name) -> new name."""

STATE_NAMES: dict[str, str | None] = {"merit": "value_to_minimize", "rank": "value_to_minimize", "compared_by": "monitor"}
"""Entries of state.pt, in the same form: "best": "best_val_loss"."""

MANIFEST_NAMES: dict[str, str | None] = {}
"""Entries of manifest.json, in the same form."""

TENSOR_NAMES: dict[str, str] = {}
r"""Names of weights of models and objectives, also in averages and in the optimizer's state: a regular expression that matches
a part of the name -> its replacement, as in `re.sub`: r"\bblocks\.(\d+)\.mlp\b": r"blocks.\1.feed_forward"."""

STATE_DEFAULTS: dict[str, Any] = {
    "val_loss": None,
    "val_metrics": {},
    "val_step": -1,
    "value_to_minimize": None,
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
"""Values of entries of state.pt for versions that did not save them. All other entries are required."""


def current_config(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a config.yaml with current keys."""
    renamed = rename_keys(content, CONFIG_KEYS)
    for (key, old), new in PART_NAMES.items():
        _replace_value(renamed, key.split("."), old, new)
    return renamed


def current_manifest(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest.json with current entries."""
    return rename_keys(body, MANIFEST_NAMES)


def current_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a state.pt with current names of entries and weights, and defaults for missing entries."""
    current = copy.deepcopy(STATE_DEFAULTS) | rename_keys(state, STATE_NAMES)
    if "monitor_mode" not in state and current["monitor"] is not None:
        current["monitor_mode"] = "max"  # the mode of all metrics except for the loss
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
    """Return the weights under their current names."""
    return {current_name(name): tensor for name, tensor in tensors.items()}


def current_name(name: str) -> str:
    """Return the current name of a weight."""
    for old, new in TENSOR_NAMES.items():
        name = re.sub(old, new, name)
    return name


def rename_keys(content: Mapping[str, Any], table: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a copy of the content with the keys of the table renamed. An entry that already has the new name is not replaced.

    Args:
        content: nested mappings.
        table: dotted keys, old -> new or None; see CONFIG_KEYS.
    """
    renamed = _copy_mappings(content)
    for old, new in table.items():
        for value, wildcards in _pop(renamed, old.split(".")):
            if new is not None:
                _put(renamed, _fill_wildcards(new.split("."), wildcards), value)
    return renamed


def _copy_mappings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Copy nested mappings, but not their values, which may be tensors."""
    return {key: _copy_mappings(value) if isinstance(value, Mapping) else value for key, value in content.items()}


def _pop(content: dict[str, Any], path: list[str]) -> list[tuple[Any, list[str]]]:
    """Remove the values at a path and return each with the keys that `*` matched."""
    key, *rest = path
    removed: list[tuple[Any, list[str]]] = []
    for name in list(content) if key == "*" else [key] if key in content else []:
        wildcards = [name] if key == "*" else []
        if not rest:
            removed.append((content.pop(name), wildcards))
        elif isinstance(content[name], dict):
            removed += [(value, [*wildcards, *deeper]) for value, deeper in _pop(content[name], rest)]
    return removed


def _replace_value(content: dict[str, Any], path: list[str], old: Any, new: Any) -> None:
    """Replace the value `old` at a path, which may contain `*`."""
    key, *rest = path
    for name in list(content) if key == "*" else [key] if key in content else []:
        if not rest:
            content[name] = new if content[name] == old else content[name]
        elif isinstance(content[name], dict):
            _replace_value(content[name], rest, old, new)


def _fill_wildcards(path: list[str], wildcards: list[str]) -> list[str]:
    names = iter(wildcards)
    return [next(names) if key == "*" else key for key in path]


def _put(content: dict[str, Any], path: list[str], value: Any) -> None:
    *owners, last = path
    for owner in owners:
        content = content.setdefault(owner, {})
    content.setdefault(last, value)
