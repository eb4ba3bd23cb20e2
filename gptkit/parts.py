"""A part: a dataclass that holds the settings of one thing and can build it.

Parts sit at the bottom of the house: this file imports nothing of the kit. A part's fields are its configuration keys, its
defaults live here and nowhere else, and `build()` turns it into the running thing. What is known only when running
(vocabulary size, width, other models) is an argument of `build`, never a field.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Part:
    """The base of every kind's base class. Subclasses are plain dataclasses: not frozen, no slots, simple field types."""


@dataclass(frozen=True)
class FieldInfo:
    """One configuration key of a part, as the help pages and `gptkit plugins` show it."""

    name: str
    type: str
    default: Any
    doc: str


def summary(part: type[Any]) -> str:
    """The first line of a part's docstring."""
    return inspect.cleandoc(part.__doc__ or "").partition("\n")[0]


def fields_of(part: type[Any]) -> list[FieldInfo]:
    """The keys of a part with their types, defaults and documentation.

    Documentation is read from `Annotated[type, "doc"]`. A key that must be given has the default "???".
    """
    hints = get_type_hints(part, include_extras=True)
    found = []
    for field in dataclasses.fields(part):
        hint, doc = hints[field.name], ""
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            doc = next((note for note in notes if isinstance(note, str)), "")
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = "???"
        found.append(FieldInfo(field.name, getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint), default, doc))  # type: ignore[arg-type]
    return found
