"""The records that data sources yield. There is one class per type of data; each objective declares the type that it consumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """Plain text for language modelling."""

    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled example: one text, a pair, or a text with options to choose from."""

    text: str
    label: str | float | int
    pair: str | None = None
    options: tuple[str, ...] = ()
    where: str = field(default="", compare=False, repr=False)
    """The location for error messages, such as `file:line`. If it is empty, messages use the number of the example."""
    group: str = field(default="", repr=False)
    """The part of an evaluation set that the example belongs to, such as the subject of an exam."""
    explanation: str = field(default="", repr=False)
    """Why the label is right."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue. `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation of alternating turns. The first turn may be a system message."""

    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """A prompt with K completions and their ranks (lower is better; equal ranks are ties)."""

    prompt: tuple[Turn, ...]
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    labeler: str | None = None
    demonstration: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt for a policy. `facts` holds the data that a reward needs to score the response, such as the correct answer."""

    turns: tuple[Turn, ...]
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file with any columns, for tasks that say by templates what the columns mean."""

    fields: Mapping[str, Any]
    where: str = field(default="", compare=False, repr=False)
    """The location for error messages, such as `file:line`."""


Record = Document | Example | Dialogue | Ranking | Prompt | Row
