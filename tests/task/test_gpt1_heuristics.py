"""GPT-1's zero-shot heuristics: what they ask of a model, how they score it, and which data they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import ConfigError, DataError
from gptkit.task import AcceptabilityConfig, NextWordConfig, ReferentConfig
from gptkit.task.example_task import ExampleTask
from tests.task.conftest import metrics_of

Table = Callable[[str], dict[str, Any]]


def test_next_word_appends_the_suffix_and_compares_only_the_words(table: Table) -> None:
    data = table("text,label\nfine,good\nfair,good\npoor,bad\n")
    assert metrics_of(NextWordConfig(data=data), "very good very good") == {"accuracy": pytest.approx(2 / 3)}
    config = NextWordConfig(data=data, words={"good": "!", "bad": "?"}, reference=1.0, suffix="")
    metrics = metrics_of(config, "poor?fine!fair!")
    assert metrics["accuracy"] == pytest.approx(2 / 3)  # both words are equally probable after "r": the first is chosen
    assert metrics["normalised"] == pytest.approx((2 / 3 - 0.5) / 0.5)


def test_referent_scores_the_text_after_the_substituted_words(table: Table) -> None:
    data = table("text,a,b,label\nThe _!,dog,cat,a\nThe _?,dog,cat,b\n") | {"options": ["a", "b"]}
    assert metrics_of(ReferentConfig(data=data), "dog! cat?")["accuracy"] == 1.0
    assert metrics_of(ReferentConfig(data=data), "dog? cat!")["accuracy"] == 0.0


def test_acceptability_uses_a_threshold_on_the_mean(table: Table, tmp_path: Path) -> None:
    data = table("text,label\nthe sea,1\nthe sea the sea,1\nzq zq,0\nqzqz,0\nsea the,1\nthe the,1\nzzzz,0\nqqqq,0\n")
    metrics = metrics_of(AcceptabilityConfig(data=data), "the sea the sea the the")
    assert (metrics["matthews"], metrics["accuracy"]) == (1.0, 1.0)
    assert metrics_of(AcceptabilityConfig(data=data, threshold=1.0), "the sea")["matthews"] == 0.0  # nothing is accepted
    split = data | {"validation": str(tmp_path / "b.csv")}
    (tmp_path / "b.csv").write_text("text,label\nthe sea,0\nqzqz,1\n")
    metrics = metrics_of(AcceptabilityConfig(data=split), "the sea the sea the the")
    assert metrics["matthews"] == -1.0  # the threshold is from the training split


def test_examples_are_spread_evenly(table: Table) -> None:
    data = table("text,label\n" + "".join(f"t{n},{'ab'[n > 4]}\n" for n in range(10)))
    task = NextWordConfig(data=data, examples=4).build()
    assert isinstance(task, ExampleTask)
    assert [example.text for example in task.examples] == ["t0", "t2", "t5", "t7"]
    assert len(NextWordConfig(data=data).build().items()) == 10


def test_reference_at_chance_is_rejected(table: Table) -> None:
    task = NextWordConfig(data=table("text,label\nfine,good\npoor,bad\n"), reference=0.5).build()
    with pytest.raises(ConfigError, match=r"reference=0\.5 is the score of random guessing"):
        task.items()


@pytest.mark.parametrize(
    ("task", "rows", "error", "message"),
    [
        (AcceptabilityConfig, None, ConfigError, r"task=acceptability needs data, such as data\.path=examples\.tsv"),
        (ReferentConfig, "text,label\nThe _ barks.,1\n", DataError, r"the examples have none; set data\.options"),
        (AcceptabilityConfig, "text,label\nThe,1\n", DataError, "one example is not enough"),
        (
            AcceptabilityConfig,
            "text,label\nThe,yes\nA,no\n",
            DataError,
            "no example has the label acceptable=1; the labels are no, yes",
        ),
    ],
)
def test_unusable_data_is_reported(table: Table, task: Any, rows: str | None, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        task(data={} if rows is None else table(rows)).build()


@pytest.mark.parametrize("text", ["The dog barks.", "The _ and _ bark.", "Barks the _"])
def test_sentence_without_a_single_blank_is_reported(table: Table, text: str) -> None:
    data = table(f"text,a,b,label\n{text},dog,cat,a\n") | {"options": ["a", "b"]}
    with pytest.raises(DataError, match="must contain _ once"):
        ReferentConfig(data=data).build()


def test_label_without_a_continuation_is_reported(table: Table) -> None:
    with pytest.raises(DataError, match="has the label fair, but words has good, bad"):
        NextWordConfig(data=table("text,label\nx,fair\n"), words={"good": " good", "bad": " bad"}).build()


def test_unlabelled_records_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be, or not to be.\n")
    with pytest.raises(DataError, match="task=next_word reads labelled examples, but the source yields Documents"):
        NextWordConfig(data={"name": "text", "path": str(tmp_path / "a.txt")}).build()
