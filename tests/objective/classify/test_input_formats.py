"""The input formats of figure 1 of the GPT-1 paper: the order of tokens, and the room for texts."""

from __future__ import annotations

import pytest

from gptkit.objective.classify.input_formats import (
    SpecialTokens,
    append_question,
    classification_input,
    entailment_input,
    max_pair_text_tokens,
    max_single_text_tokens,
    multiple_choice_input,
    similarity_input,
)

START, DELIMITER, EXTRACT = 100, 101, 102
MARKS = SpecialTokens(START, DELIMITER, EXTRACT)


def test_classification_is_start_text_extract() -> None:
    assert classification_input([1, 2, 3], MARKS) == [START, 1, 2, 3, EXTRACT]


def test_entailment_is_start_premise_delimiter_hypothesis_extract() -> None:
    assert entailment_input([1, 2], [3], MARKS) == [START, 1, 2, DELIMITER, 3, EXTRACT]


def test_similarity_has_both_orders() -> None:
    assert similarity_input([1, 2], [3], MARKS) == [
        [START, 1, 2, DELIMITER, 3, EXTRACT],
        [START, 3, DELIMITER, 1, 2, EXTRACT],
    ]


def test_multiple_choice_pairs_the_text_with_every_option() -> None:
    assert multiple_choice_input([1, 2], [[3], [4, 5], [6]], MARKS) == [
        [START, 1, 2, DELIMITER, 3, EXTRACT],
        [START, 1, 2, DELIMITER, 4, 5, EXTRACT],
        [START, 1, 2, DELIMITER, 6, EXTRACT],
    ]


@pytest.mark.parametrize(
    ("room", "expected"), [(9, [1, 2, 3, 7, 8]), (5, [1, 2, 3, 7, 8]), (4, [1, 2, 7, 8]), (2, [7, 8]), (1, [7])]
)
def test_a_question_is_appended_without_a_delimiter_and_is_kept_when_truncating(room: int, expected: list[int]) -> None:
    assert append_question([1, 2, 3], [7, 8], room) == expected


@pytest.mark.parametrize("context", [8, 9, 512, 513])
def test_the_longest_texts_fill_the_context(context: int) -> None:
    assert len(classification_input(range(max_single_text_tokens(context)), MARKS)) == context
    part = range(max_pair_text_tokens(context))
    assert len(part) == context // 2 - 2  # as in the released code
    assert context - 2 <= len(entailment_input(part, part, MARKS)) <= context
