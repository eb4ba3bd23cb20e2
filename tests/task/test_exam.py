"""Exams: the published files, lettered options, examples of the same subject, and averages over subjects."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.data import MMLUConfig
from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.evaluation.groups import add_groups
from gptkit.evaluation.runner import Results
from gptkit.records import Example
from gptkit.task import LetterChoiceConfig
from gptkit.task.base import Task
from gptkit.task.requests import Generation, GenerationAnswer, LogLikelihood, LogLikelihoodAnswer
from tests.task.conftest import metrics_of_answers

DEV = 'What is 1 + 1?,1,2,3,4,B\n"Which is largest, of these?",7,5,"1,000",0,C\nWhat is 2 * 3?,5,6,7,8,B\n'
TEST = "What is 2 + 2?,3,5,4,6,C\nWhat is 9 - 1?,8,7,6,5,A\nWhat is half of 6?,1,2,3,4,C\n"
RIVERS_DEV = "Which river flows through Rome?,Tiber,Nile,Rhine,Po,A\nWhich river is longest?,Po,Nile,Tiber,Rhine,B\n"
RIVERS = "Which river flows through Paris?,Seine,Nile,Rhine,Po,A\n"


@pytest.fixture
def mmlu(tmp_path: Path) -> str:
    """A folder with the published layout, and two subjects."""
    files = {"dev/first_sums_dev": DEV, "test/first_sums_test": TEST, "dev/rivers_dev": RIVERS_DEV, "test/rivers_test": RIVERS}
    for name, text in files.items():
        path = tmp_path / "mmlu" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path / "mmlu")


@pytest.fixture
def exam(mmlu: str) -> Callable[..., Task]:
    """`exam(key=value)`: the task on the folder."""
    return lambda **settings: LetterChoiceConfig(data={"name": "mmlu", "path": mmlu}, **settings).build()


def texts_of(task: Task, texts: list[str]) -> dict[str, float]:
    """The metrics of generated texts."""
    rows = [task.score(item, [GenerationAnswer(text)]) for item, text in zip(task.items(), texts, strict=True)]
    return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})


def test_the_published_folder_has_splits_and_subjects(mmlu: str) -> None:
    data = MMLUConfig(path=mmlu).build()
    assert data.splits == ("train", "test")
    examples = list(data.records("test"))
    assert examples[0] == Example("What is 2 + 2?", 2, options=("3", "5", "4", "6"), group="first sums")
    assert [example.group for example in examples if isinstance(example, Example)] == ["first sums"] * 3 + ["rivers"]
    assert list(data.records("train"))[1] == Example(
        "Which is largest, of these?", 2, options=("7", "5", "1,000", "0"), group="first sums"
    )


def test_a_header_and_numbers_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rivers_val.csv"
    path.write_text("question,choice0,choice1,answer\nWhich is a river?,Nile,Oslo,0\nWhich is a city?,Nile,Oslo,1\n")
    assert list(MMLUConfig(path=str(path)).build().records("train")) == [
        Example("Which is a river?", 0, options=("Nile", "Oslo"), group="rivers"),
        Example("Which is a city?", 1, options=("Nile", "Oslo"), group="rivers"),
    ]


def test_all_options_are_shown_and_the_letters_are_compared(exam: Callable[..., Task]) -> None:
    item = exam().items()[0]
    context = (
        "The following are multiple choice questions (with answers) about first sums.\n\n"
        "What is 2 + 2?\nA. 3\nB. 5\nC. 4\nD. 6\nAnswer:"
    )
    assert item.requests == tuple(LogLikelihood(context, f" {letter}") for letter in "ABCD")
    assert (item.target, item.group) == (2, "first sums")
    bare = exam(preamble="", option="({letter}) {option}").items()[0].requests[0]
    assert bare == LogLikelihood("What is 2 + 2?\n(A) 3\n(B) 5\n(C) 4\n(D) 6\nAnswer:", " A")


def test_the_first_examples_of_the_subject_are_shown(exam: Callable[..., Task]) -> None:
    task = exam()
    items = FewShotTask(task, task.pool(), k=1, sampler="first", seed=3).items()
    assert items[0].requests[0] == LogLikelihood(
        "The following are multiple choice questions (with answers) about first sums.\n\n"
        "What is 1 + 1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: B\n\n"
        "What is 2 + 2?\nA. 3\nB. 5\nC. 4\nD. 6\nAnswer:",
        " A",
    )
    for item in FewShotTask(task, task.pool(), k=2, sampler="first").items()[:3]:
        assert isinstance(request := item.requests[0], LogLikelihood)
        assert [part.splitlines()[0] for part in request.context.split("\n\n")[1:3]] == [
            "What is 1 + 1?",
            "Which is largest, of these?",
        ]


def test_oracle_first_and_chance_score_what_they_must(exam: Callable[..., Task]) -> None:
    task = exam()
    assert task.chance() == {"accuracy": 0.25}
    assert metrics_of_answers(task, lambda item: int(item.target)) == {"accuracy": 1.0}
    assert metrics_of_answers(task, lambda item: 0) == {"accuracy": 0.5}
    numbers = random.Random(0)
    guesses = [metrics_of_answers(task, lambda item: numbers.randrange(4))["accuracy"] for _ in range(500)]
    assert float(np.mean(guesses)) == pytest.approx(0.25, abs=0.05)


def test_subjects_have_metrics_of_their_own_and_a_macro_average(exam: Callable[..., Task]) -> None:
    task = exam()
    assert len(task.items()) == 4
    grouped = add_groups(task, Results({}, {"accuracy": np.array([1.0, 0.0, 0.0, 1.0])}, 0, 0))
    assert {name: metric.value for name, metric in grouped.metrics.items()} == {
        "accuracy": 0.5,
        "macro_accuracy": pytest.approx((1 / 3 + 1) / 2),
    }
    assert {name: (part.items, part.metrics["accuracy"].value) for name, part in grouped.groups.items()} == {
        "first sums": (3, pytest.approx(1 / 3)),
        "rivers": (1, 1.0),
    }
    low, high = grouped.metrics["macro_accuracy"].low, grouped.metrics["macro_accuracy"].high
    assert low is not None and high is not None and low < (1 / 3 + 1) / 2 < high


def test_a_single_subject_has_no_macro_average(tmp_path: Path) -> None:
    path = tmp_path / "rivers_test.csv"
    path.write_text(RIVERS * 2)
    task = LetterChoiceConfig(data={"name": "mmlu", "path": str(path)}).build()
    assert isinstance(task, Task)
    assert len(task.items()) == 2
    assert set(add_groups(task, Results({"accuracy": 1.0}, {"accuracy": np.ones(2)}, 0, 0)).metrics) == {"accuracy"}


def test_an_explanation_precedes_the_letter(exam: Callable[..., Task]) -> None:
    task = exam(scoring="explanation")
    (request,) = task.items()[0].requests
    assert isinstance(request, Generation)
    assert request.prompt.endswith("D. 6\nExplanation:")
    assert (request.max_new_tokens, request.temperature, request.stop) == (512, 0.3, ("]",))
    right = " Add them up. The answer is therefore [C"
    assert texts_of(task, [right, "The answer is therefore [B", "I do not know", "The answer is therefore [A"]) == {
        "accuracy": 0.5,
        "answered": 0.75,
    }
    assert task.option_scores(task.items()[0], [GenerationAnswer(right)]) == ()


def test_examples_show_the_explanations_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    rows = [{"query": f"{n} + 1?", "choices": [str(n + 1), "9"], "gold": 0, "explanation": f"It follows {n}."} for n in (1, 2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task: Any = LetterChoiceConfig(data={"name": "choices", "path": str(path)}, scoring="explanation").build()
    (request,) = FewShotTask(task, task.pool(), k=1).items()[0].requests
    assert isinstance(request, Generation)
    assert request.prompt == (
        "2 + 1?\nA. 3\nB. 9\nExplanation: It follows 2. The answer is therefore [A]\n\n1 + 1?\nA. 2\nB. 9\nExplanation:"
    )


def test_a_generated_letter_is_found(exam: Callable[..., Task]) -> None:
    task = exam(scoring="generate")
    assert texts_of(task, [" C. 4", "(A)", "the third", " B"]) == {"accuracy": 0.5, "answered": 0.75}
    own = exam(scoring="generate", extract=r"answer: ([a-d])")
    assert texts_of(own, ["answer: c"] * 4)["answered"] == 1.0


def test_probabilities_of_the_letters_are_kept(exam: Callable[..., Task]) -> None:
    task = exam()
    answers = [LogLikelihoodAnswer((value,), False) for value in (-1.0, -2.0, -3.0, -4.0)]
    assert task.option_scores(task.items()[0], answers) == [-1.0, -2.0, -3.0, -4.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("What?,a,b,c,d,E\n", r"x_test\.csv:1: the answer is 'E'; it must be a letter from A to D"),
        ("What?,a,b,c,d,\n", r"x_test\.csv:1: the answer is ''"),
        ("What?,a,b,c,d,AB\n", r"x_test\.csv:1: the answer is 'AB'"),
        ("What?,a,b,c,d,7\n", r"x_test\.csv:1: the answer is '7'"),
        (" ,a,b,c,d,A\n", r"x_test\.csv:1: the question is empty"),
        ("What?,a,A\n", r"x_test\.csv:1: the row has 3 cells; it must have a question, two or more options"),
        ("What?,a,b,A\nWhat?,a,b,c,A\n", r"x_test\.csv:2: the row has 5 cells"),
        ("", r"x_test\.csv: there is no question"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x_test.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        list(MMLUConfig(path=str(tmp_path / "x_test.csv")).build().records("train"))


def test_examples_need_a_folder_of_examples(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "rivers_test.csv").write_text(RIVERS)
    task: Any = LetterChoiceConfig(data={"name": "mmlu", "path": str(tmp_path)}).build()
    assert len(task.items()) == 1
    with pytest.raises(DataError, match=r"there is no folder dev beside test, .* set fewshot\.path"):
        task.pool()


def test_the_line_of_an_option_has_a_letter_and_a_text() -> None:
    with pytest.raises(ConfigError, match=r"task\.option must contain \{letter\} and \{option\} once each"):
        LetterChoiceConfig(option="{option}")
