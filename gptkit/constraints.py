"""What values a setting may have, declared once, on the field: `lr: Annotated[float, "peak learning rate", at_least(0)] = 1e-3`.

A marker holds for the value of its field, or for each value of a list or mapping. `gptkit.constraint_checks` judges settings by
markers before anything is made of them; help pages and completion show them. What follows from several fields together is code, in
`__post_init__`, which may rely on every single value being as declared.

Without any marker a number is finite and fits in 64 bits, and a text has no NUL character and is valid Unicode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gptkit.errors import did_you_mean

# How large a size may be. GPT-3 has 96 layers of width 12,288 with 96 heads, a context of 2,048 tokens and a vocabulary of 50,257;
# GPT-4 is said to have 120 layers. The limits are about a hundred times what has been trained: beyond them lies a slip of the
# keyboard, and within them parameters, bytes and operations are counted at once. Whether a model fits is another question.
LAYERS = 10_000
WIDTH = 1_048_576
"""Of a hidden state, and of any other layer."""
CONTEXT = 100_000_000
"""Tokens of a sequence, a window, or a text that is generated."""
VOCABULARY = 10_000_000
SEQUENCES = 1_048_576
"""Of a batch, a group, or the samples of a prompt. GPT-3 takes 1,600 for a step."""
DEVICES = 1_048_576
TOKENS = 10**18
"""Of a run; GPT-4 is said to have read 10**13."""
SCORE = 1e6
"""How far from 0 a score, or the weight of a term of a score or a loss, may be."""
LEARNING_RATE = 1e3


@dataclass(frozen=True)
class Bound:
    """A limit that numbers may not cross."""

    limit: float
    words: str
    """at least, above, at most or below."""

    def problem(self, value: Any) -> str:
        """What is wrong with a value, behind its key; empty where nothing is. Texts are for others to judge."""
        if isinstance(value, str):
            return ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        holds = {
            "at least": value >= self.limit,
            "above": value > self.limit,
            "at most": value <= self.limit,
            "below": value < self.limit,
        }
        return "" if holds[self.words] else f"must be {self}"

    def __str__(self) -> str:
        whole = f"{self.limit:,.0f}" if self.limit < 1e9 else f"{self.limit:g}"
        return f"{self.words} {whole if self.limit == int(self.limit) else as_typed(self.limit)}"

    def as_json(self) -> dict[str, Any]:
        """For programs: {"at_least": 0}."""
        return {self.words.replace(" ", "_"): self.limit}


@dataclass(frozen=True)
class Choice:
    """The texts that are allowed."""

    options: tuple[str, ...]

    def problem(self, value: Any) -> str:
        """As `Bound.problem`; numbers are for others to judge."""
        if value in self.options or not isinstance(value, str):
            return ""
        return f"must be {self}.{near}" if (near := did_you_mean(value, self.options)) else f"must be {self}"

    def __str__(self) -> str:
        *others, last = self.options
        return f"{', '.join(others)} or {last}" if others else last

    def as_json(self) -> dict[str, Any]:
        """For programs: {"one_of": ["text", "json"]}."""
        return {"one_of": list(self.options)}


@dataclass(frozen=True)
class Items:
    """How many items a list or mapping has."""

    count: int

    def problem(self, value: Any) -> str:
        """As `Bound.problem`, of the list itself."""
        return f"must be a list of {self.count}, not of {len(value)}" if is_group(value) and len(value) != self.count else ""

    def __str__(self) -> str:
        return f"a list of {self.count}"

    def as_json(self) -> dict[str, Any]:
        """For programs: {"items": 2}."""
        return {"items": self.count}


@dataclass(frozen=True)
class NotEmpty:
    """Neither a text nor a list, nor a text within it, is empty."""

    def problem(self, value: Any) -> str:
        """As `Bound.problem`, of a list and of each of its items."""
        return "must not be empty" if (isinstance(value, str) or is_group(value)) and not len(value) else ""

    def __str__(self) -> str:
        return "not empty"

    def as_json(self) -> dict[str, Any]:
        """For programs: {"not_empty": true}."""
        return {"not_empty": True}


@dataclass(frozen=True)
class Texts:
    """Of a field that may hold anything: a text, or a list of texts."""

    def problem(self, value: Any) -> str:
        """As `Bound.problem`, of a list and of each of its items."""
        return "" if isinstance(value, str | Sequence) else "must be a text, or a list of texts"

    def __str__(self) -> str:
        return "a text or a list of texts"

    def as_json(self) -> dict[str, Any]:
        """For programs: {"texts": true}."""
        return {"texts": True}


@dataclass(frozen=True)
class Infinite:
    """Infinity is a value like any other here; what is not a number is refused all the same."""

    def problem(self, value: Any) -> str:
        """Nothing: it only lifts what holds without markers."""
        return ""

    def __str__(self) -> str:
        return "may be infinite"

    def as_json(self) -> dict[str, Any]:
        """For programs: {"may_be_infinite": true}."""
        return {"may_be_infinite": True}


Constraint = Bound | Choice | Items | NotEmpty | Texts | Infinite


def at_least(limit: float) -> Bound:
    """The number, or each number of a list, is at least this."""
    return Bound(limit, "at least")


def above(limit: float) -> Bound:
    """The number, or each number of a list, is above this."""
    return Bound(limit, "above")


def at_most(limit: float) -> Bound:
    """The number, or each number of a list, is at most this."""
    return Bound(limit, "at most")


def below(limit: float) -> Bound:
    """The number, or each number of a list, is below this."""
    return Bound(limit, "below")


def one_of(*options: str) -> Choice:
    """The text, or each text of a list, is one of these; of a field that may be a number as well, its texts are."""
    return Choice(options)


def items(count: int) -> Items:
    """The list has so many items."""
    return Items(count)


not_empty = NotEmpty()
texts = Texts()
may_be_infinite = Infinite()


def is_group(value: Any) -> bool:
    """Whether a value is a list or mapping of values."""
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)


def as_typed(number: float) -> str:
    """A number as a person would type it: 0.1, 3, 1e+30."""
    if isinstance(number, int):
        return str(number) if abs(number) < 10**20 else f"{Decimal(number):.3g}"
    return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)
