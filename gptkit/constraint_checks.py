"""Check that settings have the types and satisfy the constraints that their classes declare.

All settings pass through `check_constraints`: those of the command line, of `gptkit.compose`, of parts in lists and mappings, and
of a config.yaml.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from gptkit.constraints import Bound, Choice, Constraint, Items, as_typed, is_group, may_be_infinite
from gptkit.errors import ConfigError

_TYPES: dict[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: (int | float, "a number"),
    str: (str, "a string"),
    list: (Sequence, "a list"),
    dict: (Mapping, "a mapping"),
}
"""Type of a field -> the types of its values, and the description of such a value in error messages."""


@dataclass(frozen=True)
class DeclaredField:
    """The declaration of one field of a settings class."""

    hint: Any
    constraints: tuple[Constraint, ...]
    required: bool
    """Whether null is rejected."""


@functools.cache
def declared_fields(settings: type[Any]) -> Mapping[str, DeclaredField]:
    """Return the declarations of a settings class by field name."""
    hints = get_type_hints(settings, include_extras=True)
    fields = {}
    for field in dataclasses.fields(settings):
        hint, *notes = get_args(hints[field.name]) if get_origin(hints[field.name]) is Annotated else (hints[field.name],)
        required = field.default is not None if hint is Any else type(None) not in get_args(hint)
        fields[field.name] = DeclaredField(hint, tuple(note for note in notes if isinstance(note, Constraint)), required)
    return fields


def check_constraints(settings: Any, path: str = "", *, of: type[Any] | None = None) -> None:
    """Check every value against the declaration of its field, including values of nested settings and parts.

    Args:
        settings: an instance of a settings class, its composed config, or, with `of`, its values as plain data. Keys that are not
            fields are ignored.
        path: the key that holds the settings, for error messages.
        of: the settings class, for plain data.

    Raises:
        ConfigError: a value is invalid. The message names its full key.
    """
    owner = of or _settings_class(settings)
    if owner is None:
        raise TypeError(f"{settings!r} is not an instance of a settings class")
    fields: Mapping[str, DeclaredField] = declared_fields(owner)  # type: ignore[arg-type]  # classes are hashable
    for name, value in _iter_values(settings):
        field, key = fields.get(name), f"{path}.{name}" if path else name
        if field is None:
            continue
        inner = _settings_class(value) or _settings_class_of(field.hint, value)
        if inner is not None:
            check_constraints(value, key, of=inner)
        elif value is not None:
            _raise_config_error(key, value, _type_mismatch(field.hint, value))
            _check_value(key, value, field.constraints)
        elif field.required:
            raise ConfigError(f"{key}=null: {key} must have a value")


def _check_value(key: str, value: Any, constraints: Sequence[Constraint]) -> None:
    """Check a value, and each value inside it."""
    if (part := _settings_class(value)) is not None:  # a part in a list or mapping
        check_constraints(value, key, of=part)
        return
    numeric = "a number or " if any(isinstance(constraint, Bound) for constraint in constraints) else ""
    invalid = _invalid_value(value, infinite=may_be_infinite in constraints)
    if not isinstance(value, int):  # for an int, the message of a violated bound says more
        _raise_config_error(key, value, invalid)
    for constraint in constraints:
        if not (is_group(value) and isinstance(constraint, Bound | Choice)):
            reason = constraint.problem(value)
            _raise_config_error(
                key, value, reason.replace("must be ", f"must be {numeric}") if isinstance(constraint, Choice) else reason
            )
    _raise_config_error(key, value, invalid)
    inner = [constraint for constraint in constraints if not isinstance(constraint, Items)]
    if isinstance(value, Mapping):
        for name, each in _iter_values(value):
            if reason := _invalid_value(name, infinite=False):
                raise ConfigError(f"{key} has the key {_format_value(name)}, which {reason}")
            if each is not None:
                _check_value(f"{key}.{name}", each, inner)
    elif is_group(value):
        for index, each in enumerate(value):
            _check_value(f"{key}[{index}]", each, inner)


def _raise_config_error(key: str, value: Any, reason: str) -> None:
    if reason:
        raise ConfigError(f"{key}={_format_value(value)} {reason}")


def _type_mismatch(hint: Any, value: Any) -> str:
    """Return why a value does not have the type of its field; empty if it has, or if the field accepts any type."""
    arms = [arm for arm in get_args(hint) if arm is not type(None)] if get_origin(hint) in (Union, types.UnionType) else [hint]
    plain = [get_origin(arm) or arm for arm in arms]
    if Any in plain:
        return ""
    if any(dataclasses.is_dataclass(arm) for arm in plain):
        return "must be a mapping of keys to values"
    if any(_has_type(value, arm) for arm in plain):
        return ""
    return "must be " + " or ".join(_TYPES[arm][1] for arm in plain)


def _has_type(value: Any, plain: Any) -> bool:
    if plain not in _TYPES:
        return True
    if isinstance(value, bool) or (plain is list and isinstance(value, str)):  # in Python, a bool is an int and a str is a sequence
        return plain is bool
    return isinstance(value, _TYPES[plain][0])


def _invalid_value(value: Any, *, infinite: bool) -> str:
    """Return why a value is invalid for any field, such as NaN or invalid Unicode; empty if it is valid."""
    if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and not infinite)):
        return "must be a finite number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must fit in 64 bits"
    if isinstance(value, str) and "\0" in value:
        return "must not contain a NUL character"
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        return "must be valid Unicode"
    return ""


def _settings_class(value: Any) -> type[Any] | None:
    """Return the settings class of a value; None if it is not an instance of one."""
    kind: Any = OmegaConf.get_type(value) if isinstance(value, DictConfig) else type(value)
    return kind if isinstance(kind, type) and dataclasses.is_dataclass(kind) else None


def _settings_class_of(hint: Any, value: Any) -> type[Any] | None:
    """Return the settings class in a type hint if the value is a mapping, else None."""
    return hint if isinstance(value, Mapping) and isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def _iter_values(settings: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values, except for required keys that have no value yet."""
    if isinstance(settings, DictConfig):
        yield from ((str(key), settings[key]) for key in settings if not OmegaConf.is_missing(settings, key))
    else:
        yield from ((str(key), value) for key, value in (settings if isinstance(settings, Mapping) else vars(settings)).items())


def _format_value(value: Any) -> str:
    """Format a value as it would be typed, on one line. Truncates long values."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return as_typed(value)
    text = str(value).encode(errors="backslashreplace").decode()
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return text if len(text) <= 60 else f"{text[:57]}..."
