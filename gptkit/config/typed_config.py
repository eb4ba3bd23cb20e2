"""Check a composed config against the config classes, and build the typed settings.

Hydra accepts `+typo=1` and `++model.typo=1`, and a wrong merge can reduce a part to its base class; both would silently train the
wrong thing. So every key must be a field, and every part must be an instance of exactly the class registered under its name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from gptkit.command import Command
from gptkit.config.key_errors import invalid_value_message, missing_key_message, suggest_key, unknown_key_message
from gptkit.constraint_checks import check_constraints
from gptkit.errors import ConfigError
from gptkit.hookspecs import NAMED_KINDS
from gptkit.parts import Part
from gptkit.plugins import part_name, registry


def build_settings(verb: str, config: DictConfig) -> Command:
    """Build the settings of a verb from its composed config.

    Raises:
        ConfigError: a key is unknown, a part has the wrong class, a value is missing or invalid, or a `__post_init__` raised.
    """
    schema = registry().parts["command"][verb].part
    for word in map(str, config):
        if word not in {field.name for field in dataclasses.fields(schema)}:
            key = ".".join([word, *_first_leaf_path(config._get_node(word))])
            option = Path(word, f"{config._get_node(word)}.yaml")
            hint = f" To use {option}, add --config-dir ." if option.is_file() else suggest_key(verb, key)
            raise ConfigError(f"there is no key {key}.{hint}{registry().failed()}")
    _check_keys(verb, config, schema, path="")
    _check_parts(verb, config)
    try:
        check_constraints(config)
        settings: Command = OmegaConf.to_object(config)  # type: ignore[assignment]
    except MissingMandatoryValue as error:
        raise ConfigError(missing_key_message(str(error.full_key))) from error
    except OmegaConfBaseException as error:
        raise ConfigError(invalid_value_message(verb, str(error.full_key or ""), str(error).partition("\n")[0])) from error
    except (ValueError, TypeError, AssertionError) as error:  # raised by a __post_init__
        raise ConfigError(str(error)) from error
    for kind in NAMED_KINDS:
        parts: Any = getattr(settings, kind, {})
        if isinstance(parts, Part):
            raise ConfigError(f"a {kind} needs a name: write +{kind}@{kind}.<any name>={part_name(kind, type(parts))}")
        for name, part in parts.items():
            parts[name] = _resolve_named(kind, name, part, parts)
    return settings


def _first_leaf_path(node: Any) -> Iterator[str]:
    """Yield the keys on the path to the first value below a node."""
    while isinstance(node, DictConfig) and not node._is_none() and not node._is_missing() and len(node):
        key = next(iter(node))
        yield str(key)
        node = node._get_node(key)


def _resolve_named(kind: str, name: str, settings: Any, parts: Mapping[str, Any]) -> Any:
    """Resolve a callback or logger of the run from its settings.

    Args:
        kind, name: where it is: `<kind>.<name>`.
        settings: its settings.
        parts: the settings of all of them.
    """
    if not isinstance(settings, (dict, Part)):
        shown = "null" if settings is None else settings
        owner = next((key for key, part in parts.items() if isinstance(part, Part) and hasattr(part, name)), None)
        if owner is not None:
            raise ConfigError(f"{kind}.{name}={shown} is not a {kind}. Did you mean {kind}.{owner}.{name}={shown}?")
        raise ConfigError(f"{kind}.{name}={shown} is not a {kind}; ~{kind}.{name} removes it")
    if isinstance(settings, dict) and "name" not in settings:
        if kind == "logger" and name in registry().parts[kind]:
            raise ConfigError(f"logger.{name} is set, and logger={name} is not chosen; add logger={name}")
        options = ", ".join(f"+{kind}@{kind}.{name}={option}" for option in registry().parts[kind])
        raise ConfigError(f"a key of {kind}.{name} is set, but no {kind} is chosen for it; add one of {options}")
    return registry().resolve(kind, settings, path=f"{kind}.{name}")


def _check_keys(verb: str, node: DictConfig, expected: type[Any], path: str) -> None:
    known = {field.name for field in dataclasses.fields(expected)}
    for key in map(str, node):
        full = f"{path}{key}"
        if key not in known:
            raise ConfigError(unknown_key_message(verb, full))
        child = None if OmegaConf.is_missing(node, key) else node._get_node(key)
        kind = OmegaConf.get_type(child) if isinstance(child, (DictConfig, ListConfig)) else None
        if isinstance(child, DictConfig) and dataclasses.is_dataclass(kind) and not child._is_none():
            _check_keys(verb, child, kind, f"{full}.")


def _check_parts(verb: str, config: DictConfig) -> None:
    for kind, parts in registry().parts.items():
        if kind == "command" or kind not in config or OmegaConf.is_missing(config, kind):
            continue
        node = config[kind]
        if not isinstance(node, DictConfig) or not dataclasses.is_dataclass(OmegaConf.get_type(node)):
            continue  # a mapping of parts, which are resolved by name
        registry().check_choice(kind, str(node.name))
        entry = parts.get(node.name)
        if entry is None or OmegaConf.get_type(node) is not entry.part:
            raise ConfigError(f"{kind}.name={node.name} cannot be set by itself; choose the part with {kind}={node.name}")
