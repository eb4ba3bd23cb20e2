"""Rows with invalid numbers, roles and turns: one-line errors that name the file, the line and the fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gptkit.data import DialoguesConfig, LabelledConfig, PromptsConfig, RankingsConfig
from gptkit.errors import DataError
from gptkit.objective.classify.labels import class_names
from gptkit.records import Example, Prompt

HUGE = 10**400
RANKED = {"prompt": "x", "completions": ["a", "b"]}
SUMMARIES = {"info": {"post": "x"}, "summaries": [{"text": "a"}, {"text": "b"}]}


def turns(*messages: tuple[Any, str]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in messages]}


@pytest.mark.parametrize(
    ("part", "row", "complaint"),
    [
        (DialoguesConfig, turns((["user"], "x"), ("assistant", "y")), "turn 1 has the unknown role ['user']"),
        (DialoguesConfig, turns(({}, "x"), ("assistant", "y")), "turn 1 has the unknown role {}"),
        (DialoguesConfig, turns(("user", " "), ("assistant", "y")), "turn 1, the user's, is empty"),
        (DialoguesConfig, {"prompt": [], "completion": "y"}, "column prompt contains no turn"),
        (DialoguesConfig, {"prompt": "x", "completion": "y", "\ud800": 1}, "half of a surrogate pair"),
        (PromptsConfig, {"prompt": ""}, "turn 1, the user's, is empty"),
        (PromptsConfig, {"prompt": []}, "column prompt has no turn"),
        (RankingsConfig, RANKED | {"ranks": [HUGE, 1]}, "value 1 is 1000"),
        (RankingsConfig, RANKED | {"scores": [float("inf"), 1]}, "value 1 is inf"),
        (RankingsConfig, {"prompt": [], "chosen": "a", "rejected": "b"}, "column prompt contains no turn"),
        (RankingsConfig, SUMMARIES | {"choice": [0]}, "column choice is [0]"),
        (RankingsConfig, SUMMARIES | {"choice": HUGE}, "column choice is 1000"),
        (LabelledConfig, {"text": "x", "label": HUGE}, "a number that is too large"),
        (LabelledConfig, {"text": "x", "label": 1e39}, "a number that is too large"),
        (LabelledConfig, {"text": "x", "label": float("inf")}, "has no label"),
    ],
)
def test_error_names_the_line_of_an_invalid_row(in_folder: Path, part: Any, row: dict[str, Any], complaint: str) -> None:
    Path("a.jsonl").write_text("\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError) as caught:
        list(part(path="a.jsonl").build().records("train"))
    assert str(caught.value).startswith("a.jsonl:2: ") and complaint in str(caught.value)
    assert len(str(caught.value)) < 300


def test_empty_keep_accepts_empty_turns(in_folder: Path) -> None:
    Path("a.jsonl").write_text(json.dumps({"prompt": ""}))
    assert len(list(PromptsConfig(path="a.jsonl", empty="keep").build().records("train"))) == 1


def test_only_texts_and_finite_numbers_become_facts(in_folder: Path) -> None:
    Path("a.jsonl").write_text(json.dumps({"prompt": "x", "a": 3, "b": float("inf"), "c": HUGE, "d": None, "e": [1], "f": True}))
    (prompt,) = PromptsConfig(path="a.jsonl").build().records("train")
    assert isinstance(prompt, Prompt) and prompt.facts == {"a": "3", "f": "True"}


def test_missing_and_unique_labels_are_rejected() -> None:
    with pytest.raises(DataError, match=r"2,000 training examples have 2,000 different labels .*data\.label"):
        class_names([Example("x", f"id {number}") for number in range(2000)])
    with pytest.raises(DataError, match=r"a\.csv:3: the label nan is a missing number"):
        class_names([Example("x", "1"), Example("x", "nan", where="a.csv:3"), Example("x", "0")])
    assert class_names([Example("x", "none"), Example("x", "some")]) == ["none", "some"]
