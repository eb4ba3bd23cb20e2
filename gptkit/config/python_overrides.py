"""Convert overrides from Python values to strings as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

from gptkit.config.overrides import escape_interpolations, quote
from gptkit.config_groups import groups
from gptkit.errors import ConfigError


def format_overrides(verb: str, overrides: Mapping[str, Any]) -> list[str]:
    """Return one override per value, in order. Nested mappings are flattened: {"model": {"layers": 2}} is `model.layers=2`.

    Args:
        verb: the verb that has the keys.
        overrides: values by key, such as `model.layers`, `+gpt2`, or `~callback.spike` (with the value None).

    Raises:
        ConfigError: a key is not a string, or a value cannot be written on the command line.
    """
    known = groups()
    words = []
    for key, value in _flatten(overrides, ""):
        if key.startswith("~") and value is None:
            words.append(key)
        elif isinstance(value, str) and key.lstrip("+") in known:
            words.append(f"{key}={value}")
        else:
            words.append(f"{key}={_format_value(verb, key, value)}")
    return words


def _flatten(overrides: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in overrides.items():
        if not isinstance(key, str) or not key:
            raise ConfigError(f"the key {key!r} of overrides must be a string such as model.layers")
        full_key = f"{prefix}{key}"
        pairs += _flatten(value, f"{full_key}.") if isinstance(value, Mapping) and value else [(full_key, value)]
    return pairs


def _format_value(verb: str, key: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | PathLike):
        return quote(escape_interpolations(verb, str(fspath(value))))
    if isinstance(value, list | tuple):
        return f"[{','.join(_format_value(verb, key, each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{name}:{_format_value(verb, key, each)}' for name, each in value.items())}}}"
    raise ConfigError(f"{key}: values of type {type(value).__name__} are not supported; use numbers, strings, lists or mappings")
