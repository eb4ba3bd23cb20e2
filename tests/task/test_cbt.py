"""The Children's Book Test: the published format, the requests, known scores, and malformed files."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from gptkit.data import ChildrensBookTestConfig
from gptkit.errors import DataError
from gptkit.task import CBTConfig
from gptkit.task.base import Task
from gptkit.task.requests import LogLikelihood, LogLikelihoodAnswer
from tests.task.conftest import metrics_of_answers

WORDS = ["fox", "owl", "hen", "dog", "cat", "cow", "pig", "bee", "ant", "ape"]
STORY = [f"{number} `` I saw the {WORDS[number % 10]} , '' said Ann ." for number in range(1, 21)]


def block(query: str = "The XXXXX did n't answer .", answer: str = "owl", candidates: Sequence[str] = WORDS) -> str:
    return "\n".join([*STORY, f"21 {query}\t{answer}\t\t{'|'.join(candidates)}"]) + "\n\n"


def build(folder: Path, text: str, **settings: str) -> Task:
    (folder / "cbt.txt").write_text(text)
    return CBTConfig(**settings).build(data=ChildrensBookTestConfig(path=str(folder / "cbt.txt")))  # type: ignore[arg-type]


def test_candidates_and_the_rest_of_the_sentence_follow_the_story(tmp_path: Path) -> None:
    items = build(tmp_path, block() + block("`` XXXXX ! '' she cried .", "bee")).items()
    story = " ".join(f'"I saw the {WORDS[number % 10]}," said Ann.' for number in range(1, 21))
    assert items[0].requests[:2] == (
        LogLikelihood(f"{story} The", " fox didn't answer."),
        LogLikelihood(f"{story} The", " owl didn't answer."),
    )
    assert items[1].requests[7] == LogLikelihood(story, ' "bee!" she cried.')
    assert [item.target for item in items] == [1, 7]
    (item,) = build(tmp_path, block(), detokenizer="none").items()
    assert item.requests[0] == LogLikelihood(
        "\n".join(line.partition(" ")[2] for line in STORY).replace("\n", " ") + " The", " fox did n't answer ."
    )


def test_the_sum_over_the_candidate_and_the_rest_decides(tmp_path: Path) -> None:
    task = build(tmp_path, block(candidates=["fox", "owl"]))
    (item,) = task.items()
    answers = [LogLikelihoodAnswer((-1.0, -9.0), False), LogLikelihoodAnswer((-4.0, -3.0, -2.0), False)]  # -10 against -9
    assert task.score(item, answers) == {"accuracy": 1.0}


def test_chance_oracle_and_first_candidate_score_what_they_must(tmp_path: Path) -> None:
    draw = random.Random(0)
    task = build(tmp_path, "".join(block(answer=draw.choice(WORDS)) for _ in range(200)))
    assert task.chance() == {"accuracy": pytest.approx(0.1)}
    assert metrics_of_answers(task, lambda item: item.target) == {"accuracy": 1.0}
    first = sum(item.target == 0 for item in task.items()) / 200
    assert metrics_of_answers(task, lambda item: 0) == {"accuracy": first}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (block(query="No word is missing ."), r"cbt\.txt:21: the query must contain XXXXX"),
        (block(answer=""), r"cbt\.txt:21: there is no answer"),
        (block(answer="emu"), r"cbt\.txt:21: the answer 'emu' is not one of the candidates"),
        (block(candidates=["owl"]), r"cbt\.txt:21: there must be two or more candidates"),
        (block() + "1 A .\n3 B .\n", r"cbt\.txt:24: line 2 of an example must begin with this number"),
        (block() + "1 A .\n\n", r"cbt\.txt:24: line 2 of an example"),
        (block() + "1 A .\n", r"cbt\.txt: the last example ends after 1 of 21 lines"),
        ("\n", "there is no example"),
    ],
)
def test_malformed_files_are_reported_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(tmp_path, text)
