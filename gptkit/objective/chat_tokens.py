"""From turns to ids: a prompt and its response are encoded apart, so that the border between them is the same when one samples.

A prompt's ids are those of its text, or end-of-text where there is none; a response's are those of its text and end-of-text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gptkit.objective.chat_template import pieces, prompt_text, response_text
from gptkit.records import Dialogue, Turn

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer

Ids = NDArray[np.int64]

AT_ONCE = 8192
"""Texts tokenised at a time."""


def prompt_ids(tokenizer: Tokenizer, turns: Sequence[Turn], template: str) -> list[int]:
    """What stands before the response; at least one id.

    Answers further up end with end-of-text, as they do where they are learned.

    Raises:
        DataError: the turns do not fit the template.
    """
    answered = max((place + 1 for place, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    if template == "plain" or answered in (0, len(turns)):  # one exchange at most, or nothing answered further up
        return tokenizer.encode(prompt_text(turns, template)) or [tokenizer.special["end_of_text"]]
    end = tokenizer.special["end_of_text"]
    found: list[int] = []
    for text, own in pieces(Dialogue(tuple(turns[:answered])), template):
        found += [*tokenizer.encode(text), end] if own else tokenizer.encode(text) or ([] if found else [end])
    return found + tokenizer.encode(prompt_text(turns[answered:], template))


def response_ids(tokenizer: Tokenizer, text: str, template: str) -> list[int]:
    """The response, and end-of-text."""
    return [*tokenizer.encode(response_text(text, template)), tokenizer.special["end_of_text"]]


def encoded(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Ids]:
    """The ids of many texts, in order, on all cores where the tokenizer can; never more than a few thousand texts at once."""
    source = iter(texts)
    while chunk := list(itertools.islice(source, AT_ONCE)):
        yield from (ids.astype(np.int64) for ids in tokenizer.encode_batch(chunk))
