"""A part: a dataclass that holds the settings of one thing and can build it.

Parts sit at the bottom of the house: this file imports constraints alone. A part's fields are its configuration keys, its defaults
live here and nowhere else, and `build()` turns it into the running thing. What is known only when running (vocabulary size, width,
other models) is an argument of `build`, never a field.
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
    """The base of every kind's base class. Subclasses are plain dataclasses: not frozen, no slots, simple field types."""

    def __post_init__(self) -> None:
        """Raise ValueError where fields do not go together; what one may hold is declared with it (`gptkit.constraints`)."""


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
        """The documentation, and in brackets what the value may be, where it does not say so itself."""
        said = set(re.findall(r"\w+", self.doc))
        limits = [str(each) for each in self.constraints if not (isinstance(each, Choice) and said.issuperset(each.options))]
        return f"{self.doc} ({', '.join(limits)})".lstrip() if limits else self.doc


def summary(part: type[Any]) -> str:
    """The first line of a part's docstring."""
    return inspect.cleandoc(part.__doc__ or "").partition("\n")[0]


def fields_of(part: type[Any]) -> list[FieldInfo]:
    """The keys of a part with their types, defaults and documentation.

    Documentation is read from `Annotated[type, "doc"]`, or from the first line of the string below a field. A key that must be
    given has the default "???".
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
    """The documentation of a field in the class that declares it last."""
    owner = next((owner for owner in part.__mro__ if name in vars(owner).get("__annotations__", {})), object)
    return _attribute_docstrings(owner).get(name, "")


@functools.cache
def _attribute_docstrings(owner: type[Any]) -> dict[str, str]:
    """The first line of the string that follows each annotated name in a class's source; none where there is no source."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # typed at a prompt, or made by a program
        return {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    return {
        named.target.id: inspect.cleandoc(text.value.value).partition("\n")[0]
        for named, text in itertools.pairwise(statements)
        if isinstance(named, ast.AnnAssign)
        and isinstance(named.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
