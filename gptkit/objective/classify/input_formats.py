"""GPT-1's input formats: labelled examples as token sequences, with one function per family of tasks.

Source: "Improving Language Understanding by Generative Pre-Training", section 3.3 and figure 1. Sequences are lists of ids. An
example becomes C sequences: one, both orders of a pair, or one per option.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Ids = Sequence[int]


@dataclass(frozen=True)
class SpecialTokens:
    """The ids that delimit the texts of an example."""

    start: int
    delimiter: int
    extract: int
    """The last token of a sequence, whose hidden state the head reads."""


def classification_input(text: Ids, special_tokens: SpecialTokens) -> list[int]:
    """Format a text to classify: start, text, extract."""
    return [special_tokens.start, *text, special_tokens.extract]


def entailment_input(first: Ids, second: Ids, special_tokens: SpecialTokens) -> list[int]:
    """Format premise and hypothesis, or a text and an option: start, first, delimiter, second, extract."""
    return [special_tokens.start, *first, special_tokens.delimiter, *second, special_tokens.extract]


def similarity_input(first: Ids, second: Ids, special_tokens: SpecialTokens) -> list[list[int]]:
    """Format a pair in both orders, since similarity is symmetric. Their hidden states are added before the head."""
    return [entailment_input(first, second, special_tokens), entailment_input(second, first, special_tokens)]


def multiple_choice_input(text: Ids, options: Sequence[Ids], special_tokens: SpecialTokens) -> list[list[int]]:
    """Format a text with each of its options: start, text (and question), delimiter, option, extract."""
    return [entailment_input(text, option, special_tokens) for option in options]


def append_question(text: Ids, question: Ids, room: int) -> list[int]:
    """Concatenate text and question. If they exceed `room` tokens, the end of the text is truncated first (ours)."""
    question = question[:room]
    return [*text[: room - len(question)], *question]


def max_single_text_tokens(context: int) -> int:
    """Return the maximum number of tokens of a single text."""
    return context - 2


def max_pair_text_tokens(context: int) -> int:
    """Return the maximum number of tokens of each text of a pair: half of the context, as in the released code (n_ctx // 2 - 2)."""
    return context // 2 - 2
