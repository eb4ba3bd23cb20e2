"""The base class of parts. A part is a dataclass that holds the settings of one object, such as a model, and builds it.

The fields of a part are its configuration keys. Their defaults are defined there and nowhere else. `build()` returns the object.
Values that are known only at run time (vocabulary size, width, other models) are arguments of `build()`, never fields. This module
is the lowest layer: it imports only `gptkit.constraints`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from gptkit.constraints import Choice, Constraint


class Part:
    """The base of every kind's base class. Subclasses are plain dataclasses: not frozen, without slots, with simple field types."""

    def __post_init__(self) -> None:
        """Raise ValueError if fields contradict each other. Constraints on one field are declared with it."""


@dataclass(frozen=True)
class FieldInfo:
    """One configuration key of a part, as the help pages and `gptkit plugins` show it."""

    name: str
    type: str
    default: Any
    doc: str
    constraints: tuple[Constraint, ...] = ()

    @property
    def explained(self) -> str:
        """The documentation, followed by the constraints in brackets. Omits choices that the documentation already names."""
        words = set(re.findall(r"\w+", self.doc))
        limits = [str(each) for each in self.constraints if not (isinstance(each, Choice) and words.issuperset(each.options))]
        return f"{self.doc} ({', '.join(limits)})".lstrip() if limits else self.doc


def summary(part: type[Any]) -> str:
    """Return the first line of a part's docstring."""
    return inspect.cleandoc(part.__doc__ or "").partition("\n")[0]


def fields_of(part: type[Any]) -> list[FieldInfo]:
    """Return the keys of a part with their types, defaults and documentation.

    Documentation is read from `Annotated[type, "doc"]`, or from the first line of the string below a field. A required key has the
    default "???".
    """
    hints = get_type_hints(part, include_extras=True)
    infos = []
    for field in dataclasses.fields(part):
        hint, doc = hints[field.name], ""
        notes: list[Any] = []
        if get_origin(hint) is Annotated:
            hint, *notes = get_args(hint)
            doc = next((note for note in notes if isinstance(note, str)), "")
        doc = doc or _attribute_docstring(part, field.name)
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            default = "???"
        kind = hint.__name__ if isinstance(hint, type) else str(hint)
        constraints = tuple(note for note in notes if isinstance(note, Constraint))
        infos.append(FieldInfo(field.name, kind, default, doc, constraints))
    return infos


def _attribute_docstring(part: type[Any], name: str) -> str:
    """Return the documentation of a field from the most derived class that declares it."""
    owner = next((owner for owner in part.__mro__ if name in vars(owner).get("__annotations__", {})), object)
    return _attribute_docstrings(owner).get(name, "")


@functools.cache
def _attribute_docstrings(owner: type[Any]) -> dict[str, str]:
    """Return the first line of the string below each annotated name in a class's source; empty if the source is unavailable."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # defined at a prompt, or created by a program
        return {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    return {
        name.target.id: inspect.cleandoc(text.value.value).partition("\n")[0]
        for name, text in itertools.pairwise(statements)
        if isinstance(name, ast.AnnAssign)
        and isinstance(name.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
