"""Summaries: the prompt, the sentences that are kept, and ROUGE by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gptkit.errors import DataError
from gptkit.task import SummaryConfig
from gptkit.task.requests import Generation, GenerationAnswer
from gptkit.task.text_metrics import first_sentences

pytest.importorskip("rouge_score")
ROW = {"article": "A cat sat on a mat.", "highlights": "the cat sat on the mat"}
Questions = Callable[..., dict[str, Any]]


def scores(questions: Questions, answer: str, **settings: Any) -> dict[str, float]:
    task = SummaryConfig(data=questions(ROW, name="cloze"), **settings).build()
    (item,) = task.items()
    return task.score(item, [GenerationAnswer(answer)])


def test_hint_follows_the_article(questions: Questions) -> None:
    (item,) = SummaryConfig(data=questions(ROW, name="cloze")).build().items()
    assert item.requests == (Generation("A cat sat on a mat.\nTL;DR:", 100, temperature=1.0, top_k=2),)
    (item,) = SummaryConfig(data=questions(ROW, name="cloze"), hint="").build().items()
    assert item.requests[0].prompt == "A cat sat on a mat."  # type: ignore[union-attr]


def test_rouge_equals_the_one_computed_by_hand(questions: Questions) -> None:
    result = scores(questions, " the cat sat")  # 3 of 3 words and 3 of 6; 2 of 2 bigrams and 2 of 5
    expected = {"rouge_1": 100 * 2 / 3, "rouge_2": 100 * 4 / 7, "rouge_l": 100 * 2 / 3}
    assert result == pytest.approx(expected | {"rouge_mean": sum(expected.values()) / 3})


def test_oracle_scores_100_and_an_empty_summary_0(questions: Questions) -> None:
    assert set(scores(questions, "The cat sat on the mat.").values()) == {100.0}
    assert set(scores(questions, "").values()) == {0.0}


def test_only_the_first_sentences_count(questions: Questions) -> None:
    assert scores(questions, "A dog ran. No! The cat sat on the mat.", sentences=2) == scores(questions, "A dog ran. No!")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four.", "One. Two! Three?"),
        ('He said "no." Then 3.5 left.\nEnd. More', 'He said "no." Then 3.5 left.\nEnd.'),
        ("One. Two", "One. Two"),
        ("", ""),
    ],
)
def test_sentences_end_at_a_mark_before_white_space(text: str, expected: str) -> None:
    assert first_sentences(text, 3) == expected


def test_missing_summary_is_reported_with_its_line(questions: Questions) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:1: there is no highlights"):
        SummaryConfig(data=questions({"article": "A cat sat."}, name="cloze")).build()
