"""The documentation of a part's keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gptkit.parts import Part, fields_of


@dataclass
class Shared(Part):
    """A base class."""

    width: int = 8
    """width of the layer

    More details.
    """


@dataclass
class Own(Shared):
    """A part."""

    window: Annotated[int, "keys that a query sees"] = 4
    rate: float = 0.5
    """learning rate"""
    plain: int = 1


def test_documentation_is_read_from_annotations_and_from_strings_below_fields() -> None:
    assert {field.name: field.doc for field in fields_of(Own)} == {
        "width": "width of the layer",
        "window": "keys that a query sees",
        "rate": "learning rate",
        "plain": "",
    }


def test_a_part_without_source_code_has_no_documentation() -> None:
    generated: type[Part] = dataclass(type("Generated", (Part,), {"__annotations__": {"size": int}, "size": 1}))
    assert [field.doc for field in fields_of(generated)] == [""]
