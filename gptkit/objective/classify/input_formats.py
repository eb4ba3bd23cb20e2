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


def classification_input(text: Ids, special_tokens: SpecialTokens) -> list[int]:
    """Classification: start, text, extract."""
    return [special_tokens.start, *text, special_tokens.extract]


def entailment_input(first: Ids, second: Ids, special_tokens: SpecialTokens) -> list[int]:
    """Entailment, the premise first; and an option of a multiple choice, behind the text: start, one, delimiter, other, extract."""
    return [special_tokens.start, *first, special_tokens.delimiter, *second, special_tokens.extract]


def similarity_input(one: Ids, other: Ids, special_tokens: SpecialTokens) -> list[list[int]]:
    """Similarity has no order: both are read, and their hidden states added before the head."""
    return [entailment_input(one, other, special_tokens), entailment_input(other, one, special_tokens)]


def multiple_choice_input(text: Ids, options: Sequence[Ids], special_tokens: SpecialTokens) -> list[list[int]]:
    """Question answering and common sense: text (and question), delimiter, answer, for every answer."""
    return [entailment_input(text, option, special_tokens) for option in options]


def append_question(text: Ids, question: Ids, room: int) -> list[int]:
    """Text and question in one, with nothing between; of what is longer than `room`, the text's end is left out first (ours)."""
    kept = question[:room]
    return [*text[: room - len(kept)], *kept]


def max_single_text_tokens(context: int) -> int:
    """The most tokens of a single text."""
    return context - 2


def max_pair_text_tokens(context: int) -> int:
    """The most tokens of each part of a pair: half of the context each, as in the released code (n_ctx // 2 - 2)."""
    return context // 2 - 2
