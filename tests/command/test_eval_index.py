"""Items that occur in the training text are marked, and clean and dirty items get metrics of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.attention import DenseAttentionConfig
from gptkit.data import TextConfig
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand

SEEN = ["the river runs past nine old mills before it meets", "seven grey geese walk slowly over the frozen pond at"]
UNSEEN = ["a clock that nobody winds will still be right twice", "our neighbour paints his fence in a new colour every"]
SHORT = ["a short"]


@pytest.fixture
def folder(in_folder: Path, untrained_run: Callable[..., Path], gptkit_command: GptkitCommand) -> Path:
    """A run whose training text contains two of five passages, its index, and the passages."""
    filler = [" ".join(f"w{number}x{k}" for k in range(20)) for number in range(30)]
    documents = [*filler[:20], f"They say {SEEN[0].upper()}, the sea.", f"{SEEN[1]} dusk", *filler[20:]]
    Path("text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    rows = [{"context": text, "continuation": "word"} for text in [SEEN[0], UNSEEN[0], *SHORT, UNSEEN[1], SEEN[1]]]
    Path("items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model: Any = GPTConfig(layers=1, width=8, heads=1, context=96)
    untrained_run(Path("runs/x"), model=model, attention=DenseAttentionConfig(), data=TextConfig(path=["text.jsonl"]))
    assert gptkit_command("index", "runs/x", "to=x").status == 0
    return in_folder


COMMAND = ("eval", "checkpoint=runs/x", "task=lambada", "data.path=items.jsonl", "index=x")


def test_clean_and_dirty_items_have_metrics_and_counts(gptkit_command: GptkitCommand, folder: Path) -> None:
    done = gptkit_command(*COMMAND, "to=out")
    assert done.status == 0, done.err
    rows = [line.split() for line in done.out.splitlines()]
    metrics = ("accuracy", "accuracy_without_stop_words", "perplexity")
    assert [row[0] for row in rows[1:13]] == [name for metric in metrics for name in (metric, "clean", "dirty", "undecided")]
    assert [row[-1] for row in rows[1:13]] == ["5", "2", "2", "1"] * 3
    assert done.out.splitlines()[-1].endswith(
        "of the 8-grams of the items occur in the training text; an item with any of them is dirty"
    )
    results = json.loads(Path("out/results.json").read_text())
    assert {name: results["contamination"][name]["items"] for name in ("clean", "dirty", "undecided")} == {
        "clean": 2,
        "dirty": 2,
        "undecided": 1,
    }
    assert results["protocol"]["index"]["n"] == results["contamination"]["n"] == 8
    whole = results["metrics"]["accuracy"]["value"] * 5
    parts = [results["contamination"][name] for name in ("clean", "dirty", "undecided")]
    assert whole == pytest.approx(sum(part["metrics"]["accuracy"]["value"] * part["items"] for part in parts))


def test_every_item_names_its_training_document(gptkit_command: GptkitCommand, folder: Path) -> None:
    gptkit_command(*COMMAND, "to=out")
    lines = {
        line["item"].split("-")[0]: line["overlap"] for line in map(json.loads, Path("out/items.jsonl").read_text().splitlines())
    }
    assert [lines[str(number)]["status"] for number in range(5)] == ["dirty", "clean", "undecided", "clean", "dirty"]
    assert [lines[number]["documents"][0]["document"]["number"] for number in ("0", "4")] == [20, 21]
    assert lines["0"]["longest"]["text"] == SEEN[0]


def test_the_index_changes_no_score(gptkit_command: GptkitCommand, folder: Path) -> None:
    with_index = json.loads(gptkit_command(*COMMAND, "format=json").out)
    without = json.loads(gptkit_command(*COMMAND[:-1], "format=json").out)
    assert with_index.pop("contamination")
    assert with_index == without


def test_examples_in_context_are_not_part_of_an_item(gptkit_command: GptkitCommand, folder: Path) -> None:
    rows = [{"query": text, "choices": ["one", "two"], "gold": number % 2} for number, text in enumerate([*SEEN, *UNSEEN, *SHORT])]
    Path("choices.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ("eval", "checkpoint=runs/x", "task=choice", "data.path=choices.jsonl", "index=x", "format=json")
    alone, with_examples = (json.loads(gptkit_command(*command, *words).out) for words in ([], ["fewshot.k=1"]))
    for name in ("clean", "dirty", "undecided"):
        assert with_examples["contamination"][name]["items"] == alone["contamination"][name]["items"]


def test_a_result_belongs_to_its_index(gptkit_command: GptkitCommand, folder: Path) -> None:
    assert gptkit_command(*COMMAND, "to=out").status == 0
    again = gptkit_command(*COMMAND, "to=out", "index_n=13")
    assert (again.status, again.error_line) == (
        2,
        "gptkit: to=out holds another evaluation: index.n is 8 there and 13 here; choose another folder",
    )


def test_the_index_of_another_run_is_a_warning(
    gptkit_command: GptkitCommand, folder: Path, untrained_run: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    model: Any = GPTConfig(layers=1, width=8, heads=1, context=96)
    untrained_run(Path("runs/y"), model=model, attention=DenseAttentionConfig(), data=TextConfig(path=["other.jsonl"]))
    assert gptkit_command("eval", "checkpoint=runs/y", *COMMAND[2:]).status == 0
    warning = "index=x does not contain the training text of runs/y; build its own: gptkit index runs/y to=<folder>"
    assert warning in caplog.messages


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["index=none"], "index=none: none contains no index; build one: gptkit index <run> to=none"),
        (["index=x", "index_n=9"], "x has no 9-grams, only N = 8 and 13; build an index with n=9"),
        (["index_n=8"], "index_n=8 needs index=<folder>, which gptkit index writes"),
    ],
)
def test_bad_input(gptkit_command: GptkitCommand, folder: Path, words: list[str], message: str) -> None:
    done = gptkit_command(*COMMAND[:-1], *words)
    assert (done.status, done.error_line) == (2, f"gptkit: {message}")
