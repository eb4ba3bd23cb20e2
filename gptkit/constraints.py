"""Constraints on the values of a setting, declared on its field: `lr: Annotated[float, "peak learning rate", at_least(0)] = 1e-3`.

A constraint applies to the value of its field, or to each value of a list or mapping. `gptkit.constraint_checks` checks settings
before anything is built from them; help pages and completion show the constraints. Conditions on several fields belong in
`__post_init__`, which may assume that every single value satisfies its constraints.

Without any constraint, a number must be finite and fit in 64 bits, and a string must be valid Unicode without NUL characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gptkit.errors import did_you_mean

# Upper limits of sizes. GPT-3 has 96 layers of width 12,288 with 96 heads, a context of 2,048 tokens and a vocabulary of 50,257;
# GPT-4 reportedly has 120 layers. The limits are about a hundred times the sizes that have been trained: larger values are typing
# errors, and for smaller ones parameters, bytes and operations are counted quickly. Memory is checked elsewhere.
LAYERS = 10_000
WIDTH = 1_048_576
"""Size of a hidden state, and of any other layer."""
CONTEXT = 100_000_000
"""Tokens in a sequence, an attention window, or a generated text."""
VOCABULARY = 10_000_000
SEQUENCES = 1_048_576
"""Sequences in a batch or a group, or samples per prompt. GPT-3 uses 1,600 per step."""
DEVICES = 1_048_576
TOKENS = 10**18
"""Tokens in a run. GPT-4 reportedly used 10**13."""
SCORE = 1e6
"""Largest absolute value of a score, or of the weight of a term in a score or a loss."""
LEARNING_RATE = 1e3


@dataclass(frozen=True)
class Bound:
    """A lower or upper limit of a number."""

    limit: float
    words: str
    """The relation: at least, above, at most or below."""

    def problem(self, value: Any) -> str:
        """Return a predicate that follows the key, such as "must be at least 0"; empty for valid values and for strings."""
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
        """Return the constraint as JSON data: {"at_least": 0}."""
        return {self.words.replace(" ", "_"): self.limit}


@dataclass(frozen=True)
class Choice:
    """The strings that are allowed."""

    options: tuple[str, ...]

    def problem(self, value: Any) -> str:
        """Return a predicate, as `Bound.problem` does; empty for numbers."""
        if value in self.options or not isinstance(value, str):
            return ""
        return f"must be {self}.{near}" if (near := did_you_mean(value, self.options)) else f"must be {self}"

    def __str__(self) -> str:
        *others, last = self.options
        return f"{', '.join(others)} or {last}" if others else last

    def as_json(self) -> dict[str, Any]:
        """Return the constraint as JSON data: {"one_of": ["text", "json"]}."""
        return {"one_of": list(self.options)}


@dataclass(frozen=True)
class Items:
    """The number of items of a list or mapping."""

    count: int

    def problem(self, value: Any) -> str:
        """Return a predicate about the list itself, as `Bound.problem` does."""
        return f"must have {self.count} items, not {len(value)}" if is_group(value) and len(value) != self.count else ""

    def __str__(self) -> str:
        return f"a list of {self.count}"

    def as_json(self) -> dict[str, Any]:
        """Return the constraint as JSON data: {"items": 2}."""
        return {"items": self.count}


@dataclass(frozen=True)
class NotEmpty:
    """A string, a list, or a string inside a list must not be empty."""

    def problem(self, value: Any) -> str:
        """Return a predicate about a list or one of its items, as `Bound.problem` does."""
        return "must not be empty" if (isinstance(value, str) or is_group(value)) and not len(value) else ""

    def __str__(self) -> str:
        return "not empty"

    def as_json(self) -> dict[str, Any]:
        """Return the constraint as JSON data: {"not_empty": true}."""
        return {"not_empty": True}


@dataclass(frozen=True)
class Texts:
    """The value of a field of type `Any` is a string or a list of strings."""

    def problem(self, value: Any) -> str:
        """Return a predicate about a list or one of its items, as `Bound.problem` does."""
        return "" if isinstance(value, str | Sequence) else "must be a string or a list of strings"

    def __str__(self) -> str:
        return "a string or a list of strings"

    def as_json(self) -> dict[str, Any]:
        """Return the constraint as JSON data: {"texts": true}."""
        return {"texts": True}


@dataclass(frozen=True)
class Infinite:
    """Infinity is allowed; NaN is still rejected."""

    def problem(self, value: Any) -> str:
        """Return an empty string: this constraint only lifts a restriction."""
        return ""

    def __str__(self) -> str:
        return "may be infinite"

    def as_json(self) -> dict[str, Any]:
        """Return the constraint as JSON data: {"may_be_infinite": true}."""
        return {"may_be_infinite": True}


Constraint = Bound | Choice | Items | NotEmpty | Texts | Infinite


def at_least(limit: float) -> Bound:
    """Require the number, or each number of a list, to be at least `limit`."""
    return Bound(limit, "at least")


def above(limit: float) -> Bound:
    """Require the number, or each number of a list, to be above `limit`."""
    return Bound(limit, "above")


def at_most(limit: float) -> Bound:
    """Require the number, or each number of a list, to be at most `limit`."""
    return Bound(limit, "at most")


def below(limit: float) -> Bound:
    """Require the number, or each number of a list, to be below `limit`."""
    return Bound(limit, "below")


def one_of(*options: str) -> Choice:
    """Require the string, or each string of a list, to be one of `options`. Numbers are not restricted."""
    return Choice(options)


def items(count: int) -> Items:
    """Require the list to have `count` items."""
    return Items(count)


not_empty = NotEmpty()
texts = Texts()
may_be_infinite = Infinite()


def is_group(value: Any) -> bool:
    """Whether a value is a list or mapping of values."""
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)


def as_typed(number: float) -> str:
    """Format a number as a person would type it: 0.1, 3, 1e+30."""
    if isinstance(number, int):
        return str(number) if abs(number) < 10**20 else f"{Decimal(number):.3g}"
    return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)
