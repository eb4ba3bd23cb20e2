"""What of an item is looked up in the training text, and the length of the N-grams."""

from __future__ import annotations

import pytest

from gptkit.evaluation.contamination import choose_n, item_texts
from gptkit.task.base import Item
from gptkit.task.requests import Generation, LogLikelihood, RollingLogLikelihood


def test_texts_of_an_item_are_what_the_model_reads() -> None:
    requests = (LogLikelihood("a", " b"), LogLikelihood("a", " b"), RollingLogLikelihood("text"), Generation("prompt", 1))
    assert item_texts(Item(requests)) == ["a b", "text", "prompt"]
    assert item_texts(Item(requests[3:], target="answer")) == ["prompt answer"]


@pytest.mark.parametrize(("words", "expected"), [(3, 8), (10, 8), (12, 8), (13, 13), (50, 13)])
def test_n_follows_the_length_of_the_items(words: int, expected: int) -> None:
    assert choose_n((8, 13), [["word " * words]] * 40) == expected
    assert choose_n((20,), [["word " * words]] * 40) == 20
