"""Translation by examples, as in GPT-2's paper, from files of parallel sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.data import ParallelConfig
from gptkit.errors import DataError
from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.records import Example
from gptkit.task import FreeFormConfig
from gptkit.task.base import Task
from gptkit.task.requests import Generation, GenerationAnswer

ENGLISH, FRENCH = "The dog sleeps.\nIt is late.\nWe eat bread.\n", "Le chien dort.\nIl est tard.\nNous mangeons du pain.\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "a.en").write_text(ENGLISH)
    (tmp_path / "a.fr").write_text(FRENCH)
    return {"path": str(tmp_path / "a.en"), "target": str(tmp_path / "a.fr")}


def translation(files: dict[str, Any]) -> Task:
    config = FreeFormConfig(
        prompt="{query} =", metrics=["bleu"], beams=1, sentences=1, data={"name": "parallel", **files}, max_new_tokens=20
    )
    task = config.build()
    assert isinstance(task, Task)
    return task


def test_two_files_and_a_table_have_the_same_sentences(files: dict[str, Any], tmp_path: Path) -> None:
    pairs = list(zip(ENGLISH.splitlines(), FRENCH.splitlines(), strict=True))
    (tmp_path / "a.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs))
    expected = [Example(one, other, options=(other,)) for one, other in pairs]
    assert list(ParallelConfig(**files).build().records("train")) == expected
    assert list(ParallelConfig(path=str(tmp_path / "a.tsv")).build().records("train")) == expected
    reverse = list(ParallelConfig(**files, reverse=True).build().records("train"))
    assert reverse == [Example(other, one, options=(one,)) for one, other in pairs]


def test_examples_are_pairs_with_an_equals_sign(files: dict[str, Any]) -> None:
    task = translation(files)
    (request,) = FewShotTask(task, task.pool(), k=2, separator="\n", sampler="first").items()[2].requests
    assert isinstance(request, Generation)
    assert request.prompt == "The dog sleeps. = Le chien dort.\nIt is late. = Il est tard.\nWe eat bread. ="


def test_the_first_sentence_is_compared_by_bleu(files: dict[str, Any]) -> None:
    pytest.importorskip("sacrebleu")
    task = translation(files)

    def bleu(texts: list[str]) -> float:
        rows = [task.score(item, [GenerationAnswer(text)]) for item, text in zip(task.items(), texts, strict=True)]
        return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})["bleu"]

    right = FRENCH.splitlines()
    assert bleu(right) == pytest.approx(100.0)
    assert bleu([f" {sentence} Une autre phrase suit. Encore." for sentence in right]) == pytest.approx(100.0)
    assert bleu(["x"] * 3) < 5


@pytest.mark.parametrize(
    ("english", "french", "message"),
    [
        ("a\nb\n", "c\n", r"a\.fr has fewer lines than .*a\.en"),
        ("a\nb\n", "c\n\n", r"a\.en:2: the translation is empty"),
        ("\n", "\n", r"a\.en: there is no sentence"),
    ],
)
def test_files_that_do_not_match_are_named(tmp_path: Path, english: str, french: str, message: str) -> None:
    (tmp_path / "a.en").write_text(english)
    (tmp_path / "a.fr").write_text(french)
    data = ParallelConfig(path=str(tmp_path / "a.en"), target=str(tmp_path / "a.fr")).build()
    with pytest.raises(DataError, match=message):
        list(data.records("train"))


def test_a_table_without_a_second_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\nc\n")
    with pytest.raises(DataError, match=r"a\.tsv:2: the line has 1 cells; .*set data\.target"):
        list(ParallelConfig(path=str(tmp_path / "a.tsv")).build().records("train"))
