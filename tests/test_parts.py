"""What a part says of its keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gptkit.parts import Part, fields_of


@dataclass
class Shared(Part):
    """A base class."""

    width: int = 8
    """how wide it is

    And more about it.
    """


@dataclass
class Own(Shared):
    """A part."""

    window: Annotated[int, "keys that a query sees"] = 4
    rate: float = 0.5
    """of learning"""
    plain: int = 1


def test_keys_are_documented_by_annotation_or_by_the_string_below_also_in_a_base_class() -> None:
    assert {field.name: field.doc for field in fields_of(Own)} == {
        "width": "how wide it is",
        "window": "keys that a query sees",
        "rate": "of learning",
        "plain": "",
    }
    made: type[Part] = dataclass(type("Made", (Part,), {"__annotations__": {"size": int}, "size": 1}))
    assert [field.doc for field in fields_of(made)] == [""]
