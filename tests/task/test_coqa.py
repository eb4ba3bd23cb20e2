"""CoQA: the published files, the conversation before a question, and the scores of its script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.errors import DataError
from gptkit.task import CoQAConfig
from gptkit.task.base import Task
from gptkit.task.coqa import mean_best_match
from gptkit.task.requests import Generation, GenerationAnswer
from gptkit.task.text_metrics import exact_match, f1

STORY: dict[str, Any] = {
    "source": "literature",
    "id": "x",
    "story": "Ann had a red kite. She flew it on Sunday.",
    "questions": [{"input_text": "Who had a kite?", "turn_id": 1}, {"input_text": "What colour was it?", "turn_id": 2}],
    "answers": [{"input_text": "Ann", "turn_id": 1}, {"input_text": "red", "turn_id": 2}],
    "additional_answers": {
        "0": [{"input_text": "Ann did", "turn_id": 1}, {"input_text": "Red", "turn_id": 2}],
        "1": [{"input_text": "a girl", "turn_id": 1}, {"input_text": "it was red", "turn_id": 2}],
    },
}


def build(folder: Path, content: Any) -> Task:
    path = folder / "coqa.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    task = CoQAConfig(data={"name": "coqa", "path": str(path)}).build()
    assert isinstance(task, Task)
    return task


def metrics_of_texts(task: Task, texts: list[str]) -> dict[str, float]:
    rows = [task.score(item, [GenerationAnswer(text)]) for item, text in zip(task.items(), texts, strict=True)]
    return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})


def test_a_question_follows_the_story_and_the_conversation(tmp_path: Path) -> None:
    first, second = build(tmp_path, {"version": "1.0", "data": [STORY]}).items()
    story = "Ann had a red kite. She flew it on Sunday.\n\nQ: Who had a kite?\nA:"
    assert first.requests == (Generation(story, 64, stop=("\n",)),)
    assert second.requests == (Generation(f"{story} Ann\nQ: What colour was it?\nA:", 64, stop=("\n",)),)
    assert (second.target, second.group) == (["red", "Red", "it was red"], "literature")


def test_scores_are_those_of_the_script(tmp_path: Path) -> None:
    task = build(tmp_path, {"data": [STORY]})
    # with one of [Ann, Ann did, a girl] left out, "Ann" matches Ann twice, and Ann did (F1 2/3) once
    assert metrics_of_texts(task, ["Ann", "red"]) == {
        "f1": pytest.approx((8 / 9 + 1) / 2),
        "exact_match": pytest.approx((2 / 3 + 1) / 2),
    }
    assert metrics_of_texts(task, ["", "blue"]) == {"f1": 0.0, "exact_match": 0.0}
    assert task.chance() == {"f1": 0.0, "exact_match": 0.0}


def test_a_single_annotator_is_compared_directly(tmp_path: Path) -> None:
    task = build(tmp_path, {"data": [{key: value for key, value in STORY.items() if key != "additional_answers"}]})
    assert metrics_of_texts(task, ["Ann", "the red"]) == {"f1": 1.0, "exact_match": 1.0}


def test_the_mean_over_annotators_equals_a_slow_computation() -> None:
    references = ["the white cat", "a cat", "white", "cat that is white"]
    for metric in (f1, exact_match):
        slow = [max(metric("white cat", [other]) for n, other in enumerate(references) if n != left_out) for left_out in range(4)]
        assert mean_best_match(metric, "white cat", references) == pytest.approx(sum(slow) / 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1,", r"coqa\.json is not JSON"),
        ({"stories": []}, r"coqa\.json: there is no list `data` of conversations"),
        ({"data": [{"story": "x"}]}, r"coqa\.json: conversation 1: there is no questions"),
        ({"data": [STORY | {"answers": STORY["answers"][:1]}]}, r"conversation 1: there are 2 questions, but 1 answers"),
        ({"data": [STORY | {"answers": [{"input_text": " "}] * 2}]}, r"conversation 1: question 1 has no answer"),
        ({"data": [3]}, r"conversation 1: it is malformed"),
        ({"data": []}, r"there is no example"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(tmp_path, content)
