"""Samples and pages are written after the checkpoint. They may fail, and the next command writes missing ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from gptkit.generation import generate
from gptkit.training.checkpoints.load import load_objective
from gptkit.training.reporting import callbacks, sample_logger
from gptkit.training.reporting.sample_logger import SampleLogger
from gptkit.training.reporting.samples import read_samples

Train = Callable[..., Any]
Weights = Callable[[Path], dict[str, Tensor]]

PROMPTS = ("samples.prompts=['1',n]", "samples.max_new_tokens=4", "trainer.max_steps=4")


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[str, ...]:
    """Return the overrides of a run on examples, two of each label."""
    path = tmp_path / "examples.csv"
    path.write_text("text,label\n" + "a good one,yes\na bad one,no\n" * 20, encoding="utf-8")
    return ("objective=aux_lm", "data=labelled", f"data.path={path}", "tokenizer=bytes", "model.context=24")


def steps_of(folder: Path) -> list[int]:
    return [row["step"] for row in read_samples(folder)]


@pytest.mark.parametrize("tokenizer", ["bytes", "char"])
def test_ids_of_the_objective_are_never_sampled(tokenizer: str, train: Train, labelled: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    hot = ("samples.prompts=[a,a]", "samples.temperature=50", "samples.top_k=0", "samples.max_new_tokens=20", "samples.every=1")
    train(folder, *labelled, f"tokenizer={tokenizer}", *hot, "trainer.max_steps=3")
    assert steps_of(folder) == [1, 1, 2, 2, 3, 3]
    trained = load_objective(str(folder))
    assert trained.model.vocabulary == trained.tokenizer.size + 3
    result = generate(trained.model, trained.tokenizer, ["a"], max_new_tokens=20, temperature=1000.0, samples=40)
    assert max(token for each in result[0] for token in each.tokens) < trained.tokenizer.size


@pytest.mark.parametrize("broken", ["generate", "write_summary", "write_report"])
def test_failed_reporting_does_not_stop_the_run(
    broken: str, train: Train, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise IndexError("no such thing\nbehind it")

    with monkeypatch.context() as broken_here:
        broken_here.setattr(sample_logger if broken == "generate" else callbacks, broken, fails)
        assert train(tmp_path, *PROMPTS).exit_status == 0
    assert weights(tmp_path)
    assert "could not be written (IndexError: no such thing); the run itself is unaffected" in caplog.text
    assert "behind it" not in caplog.text
    caplog.clear()
    assert train(tmp_path, *PROMPTS)["steps"] == 4
    assert caplog.text == ""
    assert steps_of(tmp_path) == [4, 4]
    assert json.loads((tmp_path / "summary.json").read_text())["finished"]
    assert (tmp_path / "report.html").is_file()


class Killed(BaseException):
    """Raised instead of sending a signal that cannot be caught."""


def killed(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize("ema", ["0", "0.9"])
def test_run_killed_after_its_last_checkpoint_gets_its_missing_files(
    ema: str, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*PROMPTS, f"ema={ema}", "val.fraction=0", "trainer.log_every_n_steps=1")
    expected = train(tmp_path / "whole", *words)
    with monkeypatch.context() as here, pytest.raises(Killed):
        here.setattr(SampleLogger, "write_samples", killed)
        here.setattr(callbacks.SummaryCallback, "on_exception", lambda *_: None)
        train(tmp_path / "run", *words)
    run = tmp_path / "run"
    assert (run / "checkpoints" / "step-00000004" / "manifest.json").is_file()
    assert not [name for name in ("samples.jsonl", "summary.json", "report.html") if (run / name).exists()]
    result = train(run, *words)
    same = ("steps", "tokens", "train_loss", "val_loss", "parameters", "finished")
    assert {name: result[name] for name in same} == {name: expected[name] for name in same}
    assert result["tokens_per_second"] > 0
    assert read_samples(run) == read_samples(tmp_path / "whole")
    assert "report" in (run / "report.html").read_text() or (run / "report.html").stat().st_size > 1000
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    train(run, *words)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before


def test_run_killed_between_checkpoint_and_samples_writes_them_when_resumed(
    train: Train, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*PROMPTS, "save.every=2", "samples.every=2")
    train(tmp_path / "whole", *words)
    with monkeypatch.context() as here, pytest.raises(Killed):
        here.setattr(SampleLogger, "write_samples", killed)
        train(tmp_path / "run", *words)
    assert steps_of(tmp_path / "run") == []
    train(tmp_path / "run", *words)
    assert read_samples(tmp_path / "run") == read_samples(tmp_path / "whole")
    assert steps_of(tmp_path / "run") == [2, 2, 4, 4]
    assert all(bool((tensor == weights(tmp_path / "whole")[name]).all()) for name, tensor in weights(tmp_path / "run").items())
