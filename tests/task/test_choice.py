"""Multiple choice: the normalisers, the delimiter, the published formats, and answerers whose score is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from gptkit.errors import DataError
from gptkit.task import ChoiceConfig, NextWordConfig, ReferentConfig
from gptkit.task.base import Item, Task
from gptkit.task.requests import LogLikelihood, LogLikelihoodAnswer
from tests.task.conftest import metrics_of, metrics_of_answers

Questions = Callable[..., dict[str, Any]]
PIQA = {"query": "Question: How do I open a jar?\n", "choices": ["Twist the lid.", "Shake it."], "gold": 0}


def one_item(config: ChoiceConfig) -> tuple[Task, Item]:
    task = config.build()
    (item,) = task.items()
    return task, item


def test_options_are_compared_by_the_mean_per_token(table: Callable[[str], dict[str, Any]]) -> None:
    data = table("text,a,b,label\nWe saw,the sea and the sea,zq,a\nThey saw,the sea,zqzqzqzq,a\nIt,qz,the,b\n")
    config = ChoiceConfig(data=data | {"options": ["a", "b"]}, reference=0.9)
    assert metrics_of(config, "the sea and the sea the sea") == {"accuracy": 1.0, "normalised": 1.25}


def test_a_question_becomes_one_request_per_option(questions: Questions) -> None:
    _, item = one_item(ChoiceConfig(data=questions(PIQA), delimiter="\nAnswer: "))
    context = "Question: How do I open a jar?\n\nAnswer:"
    assert item.requests == (LogLikelihood(context, " Twist the lid."), LogLikelihood(context, " Shake it."))
    assert item.target == 0


@pytest.mark.parametrize(
    ("normaliser", "chosen"),
    [("none", 1), ("tokens", 0), ("characters", 0), ("bytes", 2)],
)
def test_normalisers_divide_by_the_length_of_the_option(normaliser: str, chosen: int, questions: Questions) -> None:
    row = {"query": "x", "choices": ["abcdefgh", "ab", "ééé"], "gold": chosen}
    task, item = one_item(ChoiceConfig(data=questions(row), normaliser=normaliser))
    answers = [LogLikelihoodAnswer(values, False) for values in ((-1.0,) * 4, (-1.1,) * 2, (-2.6,))]
    # totals -4, -2.2, -2.6; per token -1, -1.1, -2.6; per character -0.5, -1.1, -0.87; per byte -0.5, -1.1, -0.43
    assert task.score(item, answers) == {"accuracy": 1.0}


def test_answer_context_subtracts_the_log_probability_after_it(questions: Questions) -> None:
    row = {"query": "Sugar tastes", "choices": ["the", "sweet"], "gold": 1}
    task, item = one_item(ChoiceConfig(data=questions(row), normaliser="answer_context", answer_context="A: "))
    assert item.requests[2:] == (LogLikelihood("A:", " the"), LogLikelihood("A:", " sweet"))
    answers = [LogLikelihoodAnswer((value,), False) for value in (-2.0, -3.0, -1.0, -8.0)]  # -1 against +5
    assert task.score(item, answers) == {"accuracy": 1.0}


def many_questions(count: int) -> list[dict[str, Any]]:
    draw = random.Random(0)
    rows = []
    for number in range(count):
        options = draw.choice([2, 4])
        rows.append(
            {"query": f"Question {number}", "choices": [f"option {k}" for k in range(options)], "gold": draw.randrange(options)}
        )
    return rows


def schemas(count: int) -> list[dict[str, Any]]:
    return [
        {"context_options": [f"The dog {n}", f"The cat {n}"], "continuation": "barks.", "gold": n * n % 7 % 2} for n in range(count)
    ]


def words(count: int) -> list[dict[str, Any]]:
    return [{"text": f"film {n}", "label": ["bad", "good"][n * n % 7 % 2]} for n in range(count)]


@pytest.mark.parametrize("normaliser", ["none", "tokens", "characters", "bytes"])
def test_chance_oracle_and_first_option_score_what_they_must_on_choice(normaliser: str, questions: Questions) -> None:
    rows = many_questions(400)
    check_answerers(ChoiceConfig(data=questions(*rows), normaliser=normaliser).build())


def test_chance_oracle_and_first_option_score_what_they_must_on_the_heuristics(questions: Questions) -> None:
    check_answerers(ReferentConfig(data=questions(*schemas(400))).build())
    check_answerers(NextWordConfig(data=questions(*words(400), name="labelled")).build())


def check_answerers(task: Task) -> None:
    items = task.items()
    first = sum(item.target == 0 for item in items) / len(items)
    assert metrics_of_answers(task, lambda item: item.target)["accuracy"] == 1.0
    assert metrics_of_answers(task, lambda item: 0)["accuracy"] == first
    draw = random.Random(1)
    chance = task.chance()["accuracy"]
    tolerance = 4 * math.sqrt(chance * (1 - chance) / len(items))
    guessed = metrics_of_answers(task, lambda item: draw.randrange(len(item.requests)))["accuracy"]
    assert guessed == pytest.approx(chance, abs=tolerance)


def test_schemas_with_context_options_are_read_by_referent(questions: Questions) -> None:
    row = {"context_options": ["The dog", "The cat"], "continuation": "barks.", "gold": 0}
    (item,) = ReferentConfig(data=questions(row)).build().items()
    assert item.requests == (LogLikelihood("The dog", " barks."), LogLikelihood("The cat", " barks."))


def test_schemas_are_scored_after_the_option_or_as_a_whole(questions: Questions) -> None:
    row = {"context_options": ["The dog", "The old cat"], "continuation": "barks.", "gold": 0}
    (item,) = (full := ReferentConfig(data=questions(row), scoring="full").build()).items()
    assert item.requests == (LogLikelihood("", "The dog barks."), LogLikelihood("", "The old cat barks."))
    answers = [LogLikelihoodAnswer((-3.0,) * 2, False), LogLikelihoodAnswer((-2.5,) * 3, False)]  # totals -6, -7.5; means -3, -2.5
    assert full.score(item, answers) == {"accuracy": 1.0}
    assert ReferentConfig(data=questions(row)).build().score(item, answers) == {"accuracy": 0.0}
    check_answerers(ReferentConfig(data=questions(*schemas(400)), scoring="full").build())


def test_examples_without_options_are_reported(table: Callable[[str], dict[str, Any]]) -> None:
    with pytest.raises(DataError, match=r"the examples have none; set data\.options"):
        ChoiceConfig(data=table("text,label\nThe,1\n")).build()
