"""`gptkit eval stop=decided`: two models are evaluated until it is decided which one is better."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand

MODEL: Any = GPTConfig(layers=1, heads=2, width=16, context=48)


def prefer(letter: str) -> Callable[[Any], None]:
    """Make a model predict a byte everywhere."""

    def change(model: Any) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.wte.weight[ord(letter)] = 1.0
            model.norm.bias.fill_(1.0)

    return change


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    """A run that says a, one that says b, and 400 questions whose answer is mostly b."""
    root = tmp_path_factory.mktemp("decided")
    for letter in "ab":
        untrained_run(root / letter, model=MODEL, attention=DenseAttentionConfig(), change=prefer(letter))
    rows = [{"query": f"Question {n}:", "choices": ["a", "b"], "gold": int(n % 5 > 0)} for n in range(400)]
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture
def decide(folder: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(folder)
    words = ("task=choice", "data.path=questions.jsonl", "stop=decided")
    return lambda models, *others: gptkit_command("eval", f"checkpoint={models}", *words, *others)


DRAWS = "fewshot.draws and fewshot.mode"


@pytest.mark.parametrize(("models", "better"), [("a,b", "b"), ("b,a", "a")])
def test_better_model_is_found_before_all_items_are_evaluated(decide: Any, models: str, better: str) -> None:
    outcome = decide(models, "format=json")
    assert outcome.status == 0, outcome.err
    content = json.loads(outcome.out)
    assert content["decision"]["better"] == better
    assert content["total"] == 400
    assert content["saved"] == 400 - content["evaluated"] > 200
    assert content["checkpoints"] == models.split(",")
    lines = decide(models).out.splitlines()
    assert lines[0].split() == ["metric", "a", "b", "b", "-", "a", "95%", "interval", "items"]
    assert lines[2].startswith(f"{better} is better (b), decided after ")
    assert f"{content['saved']} of 400 items saved" in lines[2]


def test_spaces_after_the_comma_are_allowed(decide: Any) -> None:
    outcome = decide("a, b", "format=json")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["checkpoints"] == ["a", "b"]


def test_equal_models_are_not_decided(decide: Any) -> None:
    assert decide("a,a").out.splitlines()[-1] == "not decided: after all 400 items, neither model is better at a level of 5%"


@pytest.mark.parametrize(
    ("models", "words", "message"),
    [
        ("a", (), "stop=decided compares two models; set checkpoint=<a>,<b> instead of checkpoint=a"),
        ("a,b", ("to=out",), "stop=decided prints which of two models is better and keeps no items; remove to"),
        ("a,b", ("fewshot.k=2", "fewshot.mode=linear_probe"), f"stop=decided takes no fixed draws of examples; remove {DRAWS}"),
        ("a,b", ("fewshot.k=2", "fewshot.draws=2"), f"stop=decided takes no fixed draws of examples; remove {DRAWS}"),
        ("a,", (), "checkpoint=a, has an empty name between two commas, or at an end; remove the comma"),
        ("a,b", ("index_n=8",), "stop=decided prints which of two models is better and keeps no items; remove index_n"),
        ("a,b", ("chat_template=chatml",), "chat_template=chatml is only used with chat=true; add it"),
        (
            "a,b",
            ("openai.timeout=5",),
            "openai has settings of a server, such as checkpoint=openai:http://localhost:8000/v1; remove them",
        ),
        ("a,b", ("task=win_rate",), "task=win_rate compares two models by itself, with against=<run>; remove stop=decided"),
        ("a,b", ("samples=3",), "stop=decided evaluates one answer per item; remove samples=3"),
    ],
)
def test_bad_input(decide: Any, models: str, words: tuple[str, ...], message: str) -> None:
    outcome = decide(models, *words)
    assert (outcome.status, outcome.error_line) == (2, f"gptkit: {message}")
