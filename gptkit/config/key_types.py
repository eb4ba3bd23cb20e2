"""Look up the type of a key in the config classes, before anything is composed."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from gptkit.constraint_checks import declared_fields
from gptkit.constraints import Choice
from gptkit.hookspecs import NAMED_KINDS
from gptkit.plugins import registry


def unwrap_annotated(hint: Any) -> Any:
    """Return a type hint without its `Annotated` wrapper."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def key_types(verb: str, key: str) -> list[Any]:
    """Return the types of a dotted key: one for each part that has it, none if the key is unknown."""
    command = registry().parts["command"].get(verb)
    if command is None:
        return []
    first, *rest = key.split(".")
    kinds = registry().parts
    roots: list[Any]
    if rest and first in kinds and first != "command":
        roots = [entry.part for entry in kinds[first].values()]
        rest = rest[1:] if first in NAMED_KINDS else rest
    else:
        roots, rest = [command.part], [first, *rest]
    hints = []
    for root in roots:
        hint: Any = root
        for word in rest:
            hint = unwrap_annotated(_field_type(hint, word))
            if hint is None:
                break
        if hint is not None and hint is not root:
            hints.append(hint)
    return hints


def _field_type(owner: Any, word: str) -> Any:
    if not dataclasses.is_dataclass(owner):
        return None
    return _type_hints(owner).get(word)  # type: ignore[arg-type]  # classes are hashable


@functools.cache
def _type_hints(owner: type[Any]) -> dict[str, Any]:
    return get_type_hints(owner, include_extras=True)


def key_choices(verb: str, key: str) -> list[str]:
    """Return the values that a text key allows, over all parts that have it; empty if it allows any."""
    allowed: dict[str, None] = {}
    for owner in classes_with_key(verb, key):
        for constraint in declared_fields(owner)[key.rpartition(".")[2]].constraints:
            if isinstance(constraint, Choice):
                allowed |= dict.fromkeys(constraint.options)
    return list(allowed)


def classes_with_key(verb: str, key: str) -> list[Any]:
    """Return the config classes that have a dotted key."""
    owner, _, word = key.rpartition(".")
    if owner in registry().parts and owner != "command":
        classes: list[Any] = [entry.part for entry in registry().parts[owner].values()]
    elif not owner:
        classes = [entry.part for name, entry in registry().parts["command"].items() if name == verb]
    elif owner.partition(".")[0] in NAMED_KINDS:
        classes = [entry.part for entry in registry().parts[owner.partition(".")[0]].values()]
    else:
        classes = key_types(verb, owner)
    return [
        each for each in classes if dataclasses.is_dataclass(each) and word in {field.name for field in dataclasses.fields(each)}
    ]


def is_text_key(verb: str, key: str) -> bool:
    """Whether the key holds text (`str` or `str | None`) for every part that has it."""
    hints = key_types(verb, key)
    return bool(hints) and all(_is_optional_of(hint, str) for hint in hints)


def is_integer_key(verb: str, key: str) -> bool:
    """Whether the key holds an `int`, so that `1e6` must become `1000000`."""
    hints = key_types(verb, key)
    return bool(hints) and all(_is_optional_of(hint, int) for hint in hints)


def _is_optional_of(hint: Any, expected: type) -> bool:
    if hint is expected:
        return True
    if get_origin(hint) in (Union, types.UnionType):
        others = [arm for arm in get_args(hint) if arm is not type(None)]
        return others == [expected]
    return False
