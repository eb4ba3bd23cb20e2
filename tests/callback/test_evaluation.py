"""Scores of tasks: they are logged at every validation or every few steps, do not change the weights, and survive a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import gptkit
from gptkit.errors import ConfigError
from gptkit.training.reporting.metrics_csv import read_metrics

TASK = "{name:choice,data:{name:labelled,path:%s,options:[a,b]},reference:0.9}"


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "text.txt").write_text("".join(f"{n} bottles, {n * n % 97} glasses.\n" for n in range(80)))
    (tmp_path / "options.csv").write_text("text,a,b,label\n1 bottle,of wine,xyz,a\n5,glasses,qqq,a\n7,zzz,bottles,b\n")

    def run(name: str, *words: str, callback: bool = True) -> Any:
        tasks = f"callback.known.tasks={{sentiment:null,stories:null,bottles:{TASK % (tmp_path / 'options.csv')}}}"
        words = ("+callback@callback.known=evaluation", tasks, *words) if callback else words
        settings: tuple[str, ...] = (
            "tokenizer=bytes",
            "model.layers=1",
            "model.heads=2",
            "model.width=16",
            "model.context=16",
            "model.dropout=0.3",
        )
        settings += ("batch.size=4", "trainer=cpu", "samples.prompts=[]", "val.sequences=4", "val.every=2", "save.every=2")
        data = (f"data.path={tmp_path / 'text.txt'}", "data=text", f"hydra.run.dir={tmp_path / name}")
        return gptkit.run(gptkit.compose("train", [*data, *settings, *words]))

    return run


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(max((folder / "checkpoints").glob("step-*")) / "model.safetensors")


def test_scores_are_logged_at_every_validation_without_changing_weights(train: Any, tmp_path: Path) -> None:
    result = train("with", "trainer.max_steps=6")
    train("without", "trainer.max_steps=6", callback=False)
    metrics = read_metrics(tmp_path / "with")
    scores = dict(zip(metrics["step"], metrics["eval/bottles"], strict=True))
    assert all(scores[step] in (0.0, 1 / 3, 2 / 3, 1.0) for step in (2, 4, 6))
    assert metrics["eval/bottles_normalised"][-1] == pytest.approx((scores[6] - 0.5) / 0.4)
    assert result["eval_bottles"] == scores[6]
    assert "eval/bottles" not in read_metrics(tmp_path / "without")
    one, other = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_resumed_run_has_the_scores_of_an_uninterrupted_one(train: Any, tmp_path: Path) -> None:
    train("whole", "trainer.max_steps=6", "optimizer.schedule.shape=constant")
    train("parts", "trainer.max_steps=4", "optimizer.schedule.shape=constant")
    train("parts", "trainer.max_steps=6", "optimizer.schedule.shape=constant")
    whole, parts = read_metrics(tmp_path / "whole"), read_metrics(tmp_path / "parts")
    names = ("step", "eval/bottles", "val/loss")
    assert [(row[0], row[1:]) for row in zip(*(parts[n] for n in names), strict=True) if row[2] == row[2]] == [
        (row[0], row[1:]) for row in zip(*(whole[n] for n in names), strict=True) if row[2] == row[2]
    ]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_an_evaluation_without_tasks_or_validation_is_rejected(train: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds out no data; set every, or val\.fraction above 0"):
        train("none", "trainer.max_steps=2", "val.fraction=0")
    with pytest.raises(ConfigError, match="callback=evaluation needs tasks"):
        train("empty", "callback.known.tasks.bottles=null", "trainer.max_steps=2")
    with pytest.raises(ConfigError, match=r"tasks.bottles=next_word must be the settings of a part, such as {name: next_word}"):
        train("word", "callback.known.tasks.bottles=next_word", "trainer.max_steps=2")


def test_tasks_are_evaluated_every_few_steps_with_examples_in_context(train: Any, tmp_path: Path) -> None:
    """Also where the run logs and validates at other steps, and the weights stay the same."""
    words = ("trainer.max_steps=7", "val.every=4", "trainer.log_every_n_steps=5")
    train("with", *words, "callback.known.every=3", "callback.known.fewshot.k=1")
    train("without", *words, callback=False)
    metrics = read_metrics(tmp_path / "with")
    steps = [int(step) for step, score in zip(metrics["step"], metrics["eval/bottles"], strict=True) if score == score]
    assert steps == [3, 6, 7]
    one, other = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_steps_need_no_validation_and_give_the_metrics_of_the_command(train: Any, tmp_path: Path) -> None:
    result = train("run", "trainer.max_steps=4", "val.fraction=0", "callback.known.every=4")
    words = [f"checkpoint={tmp_path / 'run'}", "task=choice", "data=labelled", f"data.path={tmp_path / 'options.csv'}"]
    scores = gptkit.run(gptkit.compose("eval", [*words, "data.options=[a,b]", "precision=fp32"]))
    assert result["eval_bottles"] == scores["accuracy"]
