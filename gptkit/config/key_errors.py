"""Error messages for keys and values, in one line that names the nearest key or the part that has the key, and the fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig

from gptkit.config.key_suggestions import suggest_matching_key
from gptkit.config.key_types import key_types
from gptkit.config_groups import accepts_papers, groups, presets, verb_keys
from gptkit.errors import did_you_mean, wrong_type_message
from gptkit.hookspecs import NAMED_KINDS
from gptkit.plugins import registry


def unknown_key_message(verb: str, key: str, siblings: Iterable[str] = ()) -> str:
    """Explain that the chosen part or the verb lacks a key, and name the part that has it or the nearest key.

    Args:
        verb: the verb of the command line.
        key: the dotted key.
        siblings: the known keys at the same level, for keys that no config class declares, such as those of Hydra.
    """
    owner, _, word = key.rpartition(".")
    kinds = registry().parts
    if not owner or owner.partition(".")[0] not in {*verb_keys(verb), "hydra"}:
        return f"there is no key {key}.{suggest_key(verb, key)}"
    first = owner.partition(".")[0]
    kind = first if first in NAMED_KINDS else owner
    if kind in kinds and kind != "command":
        owners = [name for name, entry in kinds[kind].items() if word in {field.name for field in dataclasses.fields(entry.part)}]
        if owners:
            return f"the chosen {kind} has no key {word}; it is a key of {', '.join(f'{kind}={name}' for name in owners)}"
        own = kinds[kind].get(owner.rpartition(".")[2])  # a logger has the name of its part unless it was given another
        parts = kinds[kind].values() if own is None else [own]
        known = {field.name for entry in parts for field in dataclasses.fields(entry.part)} - {"name"}
    else:
        known = _nested_keys(verb, owner) or set(siblings)
    near = "" if owner.startswith("hydra") else suggest_matching_key(verb, word)
    near = near or did_you_mean(word, known).replace("Did you mean ", f"Did you mean {owner}.")
    near = near or suggest_matching_key(verb, word, near=True)
    return f"there is no key {key}.{near or f' gptkit {verb} --help lists the keys, and gptkit plugins those of a part'}"


def rejected_group_message(verb: str, group: str) -> str:
    """Explain why a group cannot be chosen for this verb; empty if it can."""
    known = verb_keys(verb)
    if group in registry().parts or group == "trainer":
        return "" if group in known else f"gptkit {verb} has no key {group}; gptkit {verb} --help lists its keys"
    if group in registry().parts["command"]:
        return "" if group == verb else f"gptkit {verb} does not accept {group}=, which configures gptkit {group}"
    if accepts_papers(verb) or group.startswith("hydra"):
        return ""
    takers = [name for name in registry().parts["command"] if accepts_papers(name)]
    return f"gptkit {verb} does not accept {group}=, which configures a whole run; {' and '.join(takers)} do"


def suggest_key(verb: str, word: str) -> str:
    """Return " Did you mean x?" for a word that is not a key of the verb.

    Considers keys that end with the word, the keys of the verb and, if the verb composes a run, the groups appended with +.
    """
    if suggestion := suggest_matching_key(verb, word):
        return suggestion
    word = word.partition(".")[0]
    fields = verb_keys(verb)
    appended = set(presets(verb)) - fields
    near = did_you_mean(word, fields | {f"+{group}" for group in appended} | appended)
    guess = near.removeprefix(" Did you mean ").removesuffix("?")
    if guess in appended or guess.startswith("+"):
        return f" Did you mean +{guess.removeprefix('+')}=...?"
    return near or suggest_matching_key(verb, word, near=True) or f" gptkit {verb} --help lists the keys"


def missing_key_message(key: str) -> str:
    """Explain how to set a required key: to a value, or to one of the parts."""
    options = groups().get(key)
    if options is None:
        return f"{key} is required: add {key}=<value>"
    return f"{key} is required: add one of {', '.join(f'{key}={option}' for option in options)}"


def invalid_value_message(verb: str, key: str, text: str) -> str:
    """Explain why a value is invalid for its key, from OmegaConf's message."""
    if reason := wrong_type_message(key, text):
        return reason
    if text.startswith("Missing mandatory value"):
        return missing_key_message(key)
    if "is not Optional" in text:
        return f"{key}=null: {key} must have a value"
    if "does not support deletion" in text:
        return f"~{key}: a key of a part cannot be removed"
    if "is not a ListConfig, list or tuple" in text:
        return f"{key} must be a list, as in {key}=[a,b]"
    if "Cannot merge DictConfig with ListConfig" in text:
        return f"{key} must be a mapping, as in {key}={{a:...}}"
    if "is not a subclass of" in text and (inner := sorted(_nested_keys(verb, key))):
        return f"{key} cannot be set as a whole; set one of {', '.join(f'{key}.{name}' for name in inner)}"
    return f"{key}: {text}" if key else text


def sibling_keys(error: Any) -> list[str]:
    """Return the keys that exist where OmegaConf did not find one."""
    parent = getattr(error, "parent_node", None)
    return [str(key) for key in parent] if isinstance(parent, DictConfig) and not parent._is_missing() else []


def _nested_keys(verb: str, owner: str) -> set[str]:
    return {field.name for hint in key_types(verb, owner) if dataclasses.is_dataclass(hint) for field in dataclasses.fields(hint)}
