"""How GPT-1 lays out a labelled example as token sequences: one function per family of tasks.

Source: "Improving Language Understanding by Generative Pre-Training", section 3.3 and figure 1. Sequences are lists of ids; an
example becomes C of them: one, both orders of a pair, or one per option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Ids = Sequence[int]


@dataclass(frozen=True)
class SpecialTokens:
    """The ids that frame the parts of an example."""

    start: int
    delimiter: int
    extract: int
    """The last of a sequence: the head reads the hidden state there."""


def one_text(text: Ids, marks: SpecialTokens) -> list[int]:
    """Classification: start, text, extract."""
    return [marks.start, *text, marks.extract]


def ordered_pair(first: Ids, second: Ids, marks: SpecialTokens) -> list[int]:
    """Entailment, the premise first; and an option of a multiple choice, behind the text: start, one, delimiter, other, extract."""
    return [marks.start, *first, marks.delimiter, *second, marks.extract]


def both_orders(one: Ids, other: Ids, marks: SpecialTokens) -> list[list[int]]:
    """Similarity has no order: both are read, and their hidden states added before the head."""
    return [ordered_pair(one, other, marks), ordered_pair(other, one, marks)]


def choices(text: Ids, options: Sequence[Ids], marks: SpecialTokens) -> list[list[int]]:
    """Question answering and common sense: text (and question), delimiter, answer, for every answer."""
    return [ordered_pair(text, option, marks) for option in options]


def with_question(text: Ids, question: Ids, room: int) -> list[int]:
    """Text and question in one, with nothing between; of what is longer than `room`, the text's end is left out first (ours)."""
    kept = question[:room]
    return [*text[: room - len(kept)], *kept]


def room_of_text(context: int) -> int:
    """The most tokens of a single text."""
    return context - 2


def room_of_pair(context: int) -> int:
    """The most tokens of each part of a pair: half of the context each, as in the released code (n_ctx // 2 - 2)."""
    return context // 2 - 2
