"""What data sources yield. One class per shape of data; an objective says which one it consumes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Document:
    """Plain text, the unit of language modelling."""

    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled example: one text, a pair, or a text with options to choose from."""

    text: str
    label: str | float | int
    pair: str | None = None
    options: tuple[str, ...] = ()
    where: str = field(default="", compare=False, repr=False)
    """The place that errors name: `file:line`. Where the source leaves it empty, the example's number within the source."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue; `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation of alternating turns, a system message allowed first."""

    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """A prompt with K completions and their ranks (lower is better, equal is a tie)."""

    prompt: tuple[Turn, ...]
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    labeler: str | None = None
    demonstration: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a policy is asked; `facts` are whatever a reward needs to judge the answer."""

    turns: tuple[Turn, ...]
    facts: dict[str, str] = field(default_factory=dict)


Record = Document | Example | Dialogue | Ranking | Prompt
