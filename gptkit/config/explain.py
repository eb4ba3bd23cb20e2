"""Hydra's and OmegaConf's errors in one line that names the key and the fix."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from gptkit.config.groups import groups
from gptkit.errors import ConfigError, GptkitError, did_you_mean
from gptkit.plugins import registry


@contextmanager
def explained(verb: str, words: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra raises inside the block into a `ConfigError`."""
    try:
        yield
    except GptkitError:
        raise
    except (HydraException, OmegaConfBaseException, AssertionError, ValueError) as error:
        raise ConfigError(_one_line(verb, words, error)) from error


def _one_line(verb: str, words: Sequence[str], error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read: {_first_line(error)}"
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        return unknown_key(verb, str(cause.full_key))
    if isinstance(cause, OmegaConfBaseException) and cause is not error:
        return _unfit_value(str(cause.full_key or ""), cause)
    text = _first_line(error)
    if text.startswith("Ambiguous value for argument"):
        word = text.partition("'")[2].rpartition("'")[0]
        key, _, value = word.partition("=")
        return f"{word} has a comma: sweep over the values with -m, or give a list as '{key}=[{value}]'"
    if text.startswith("force-add of config groups"):
        key, _, value = text.partition("'++")[2].rstrip("'").partition("=")
        return f"{key} is a group, which takes no ++: write {key}={value}"
    if text.startswith("Unexpected type for root: NoneType"):
        return _key_without_part(words)
    default_less = re.match(r"Could not override '(?P<key>[^']+)'", text)
    if default_less:
        return _unknown_group(default_less["key"])
    return text


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _missing_option(error: MissingConfigException) -> str:
    wanted = str(error.missing_cfg_file or "")
    group, _, option = wanted.removesuffix(".yaml").lstrip("/").rpartition("/")
    if not group:
        return f"there is no configuration {option}.{did_you_mean(option, registry().parts['command'])}"
    options = groups().get(group)
    if options is None:
        return _unknown_group(group)
    failed = "".join(f" The plugin {f.owned} failed to load: {f.reason}." for f in registry().failures)
    near = did_you_mean(option, options)
    hint = near.replace("Did you mean ", f"Did you mean {group}=") if near else f" There are {', '.join(options)}."
    return f"there is no {group}={option}.{hint}{failed}"


def _key_without_part(words: Sequence[str]) -> str:
    """A key of a part was set, and the part, which may be left out, is not chosen."""
    parts = registry().parts
    typed = [word.lstrip("+").partition("=")[0] for word in words]
    for key in typed:
        kind = key.partition(".")[0]
        if kind != key and kind in parts and kind not in typed:
            return f"{key} is set, and no {kind} is chosen; add one of {', '.join(f'{kind}={name}' for name in parts[kind])}"
    return "a key of a part is set that is not chosen"


def _unknown_group(name: str) -> str:
    return f"there is no group {name}.{did_you_mean(name, groups())}"


def unknown_key(verb: str, key: str) -> str:
    """What is wrong with a key that the chosen part, or the verb, does not have, and which part has it, or the nearest name."""
    owner, _, word = key.rpartition(".")
    kinds = registry().parts
    if not owner:
        return f"there is no key {key}.{near_key(verb, key)}"
    if owner in kinds and owner != "command":
        having = [name for name, entry in kinds[owner].items() if word in {field.name for field in dataclasses.fields(entry.part)}]
        if having:
            return f"the chosen {owner} has no key {word}; it is a key of {', '.join(f'{owner}={name}' for name in having)}"
        known = {field.name for entry in kinds[owner].values() for field in dataclasses.fields(entry.part)}
    else:
        known = _siblings(verb, owner)
    near = did_you_mean(word, known).replace("Did you mean ", f"Did you mean {owner}.")
    return f"there is no key {key}.{near or f' gptkit {verb} --help lists the keys, and gptkit plugins those of a part'}"


def near_key(verb: str, word: str) -> str:
    """' Did you mean x?' among the verb's own keys and, where it composes a run, the groups that are appended with +."""
    fields = {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)}
    appended = set(groups()) - fields - set(registry().parts) if "model" in fields else set()
    near = did_you_mean(word, fields | {f"+{group}" for group in appended} | appended)
    guess = near.removeprefix(" Did you mean ").removesuffix("?")
    if guess in appended or guess.startswith("+"):
        return f" Did you mean +{guess.removeprefix('+')}=...?"
    return near


def _siblings(verb: str, owner: str) -> set[str]:
    from gptkit.config.fields import types_of

    return {field.name for hint in types_of(verb, owner) if dataclasses.is_dataclass(hint) for field in dataclasses.fields(hint)}


def _unfit_value(key: str, cause: Any) -> str:
    text = _first_line(cause)
    match = re.match(r"Value '(?P<value>.*?)' (?:of type '\w+' )?could not be converted to (?P<type>\w+)", text)
    match = match or re.match(r"Value '(?P<value>.*?)' is not a valid (?P<type>\w+)", text)
    if match:
        wanted = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "bool": "true or false"}
        return f"{key}={match['value']} must be {wanted.get(match['type'], match['type'])}"
    return f"{key}: {text}" if key else text
