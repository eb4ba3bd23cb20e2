"""A run that was stopped and resumed ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor

import gptkit
from gptkit.callback import CallbackConfig
from gptkit.chat_template import TranscriptConfig
from gptkit.errors import ConfigError
from gptkit.plugin_origin import BUILTIN_ORIGIN
from gptkit.plugins import Entry, registry
from gptkit.training.checkpoints.config_file import read_settings
from gptkit.training.checkpoints.manifest import read_manifest
from gptkit.training.checkpoints.retention import list_checkpoints
from gptkit.training.resume_compatibility import check_same_sources, differences, lock_run_folder
from tests.processes import ProcessServer

Train = Callable[..., Any]
Weights = Callable[[Path], dict[str, Tensor]]


@dataclass
class Interrupt(CallbackConfig):
    """Sends this process a signal at the end of a step."""

    name: str = "interrupt"
    step: int = 3
    number: int = int(signal.SIGTERM)

    def build(self) -> lightning.Callback:
        return Interrupting(self.step, self.number)


class Interrupting(lightning.Callback):
    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.state.step == self.step:
            os.kill(os.getpid(), self.number)


def logged(folder: Path) -> list[tuple[str, str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as lines:
        return [(row["step"], row["train/loss"], row["val/loss"]) for row in csv.DictReader(lines)]


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (signal.SIGTERM, 143, ("optimizer=muon", "model.dropout=0.2", "batch.micro=4")),
        (signal.SIGINT, 130, ("optimizer=adamw", "objective.separate_documents=true")),
    ],
)
def test_interrupted_run_saves_and_resumes_bit_identically(
    number: int,
    status: int,
    words: tuple[str, ...],
    tiny_words: list[str],
    weights: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(registry().parts["callback"], "interrupt", Entry(Interrupt, BUILTIN_ORIGIN))

    def run(folder: Path, step: int) -> Any:
        job = gptkit.compose(
            "train", [*tiny_words, *words, "val.every=2", "trainer.log_every_n_steps=1", f"hydra.run.dir={folder}"]
        )
        job.settings.callback["interrupt"] = Interrupt(step=step, number=int(number))  # type: ignore[attr-defined]
        return gptkit.run(job)

    run(tmp_path / "whole", step=99)
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stopped = run(tmp_path / "stopped", step=3)
    assert stopped.exit_status == status
    assert "stopped after 4 of 6 steps" in capsys.readouterr().err
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert not equal(weights(tmp_path / "stopped"), weights(tmp_path / "whole"))
    monkeypatch.setattr(Interrupting, "on_train_batch_start", lambda *_: None)
    with pytest.raises(ConfigError, match=r"callback\.interrupt\.step: 3 -> 99"):
        run(tmp_path / "stopped", step=99)
    continued = run(tmp_path / "stopped", step=3)
    assert continued.exit_status == 0
    assert equal(weights(tmp_path / "stopped"), weights(tmp_path / "whole"))
    assert logged(tmp_path / "stopped") == logged(tmp_path / "whole")
    assert continued["steps"] == 6


def test_finished_run_is_reported_and_a_longer_one_continues(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(tmp_path, "trainer.max_steps=2")
    capsys.readouterr()
    again = train(tmp_path, "trainer.max_steps=2", "save.every=1", "samples.temperature=0")
    assert "is finished after 2 steps" in capsys.readouterr().err
    assert (dict(again), again.exit_status, again.optimized_metric) == (dict(first), 0, first["val_loss"])
    with pytest.raises(ConfigError, match="holds a run of 2 steps, and this command requests 1"):
        train(tmp_path, "trainer.max_steps=1")
    with pytest.raises(ConfigError, match=r"with other settings \(optimizer\.lr: 0\.01 -> 0\.02; seed: 0 -> 1\).*init_from="):
        train(tmp_path, "trainer.max_steps=2", "optimizer.lr=0.02", "seed=1")
    assert train(tmp_path, "trainer.max_steps=3")["steps"] == 3


def test_changed_data_prevents_resuming(train: Train, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one after another, " * 99, encoding="utf-8")
    train(tmp_path / "run", "trainer.max_steps=2", f"data.path={text}")
    text.write_text("one after another, " * 98, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data=: the content has changed since .*step-00000002 was written"):
        train(tmp_path / "run", "trainer.max_steps=3", f"data.path={text}")


def test_moved_text_does_not_prevent_resuming(
    train: Train, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, moved = tmp_path / "text.txt", tmp_path / "moved.txt"
    text.write_text("one after another, " * 99, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    train(tmp_path / "run", "trainer.max_steps=2", f"data.path={text}")
    train(tmp_path / "run", "trainer.max_steps=3", "data.path=text.txt")
    text.rename(moved)
    train(tmp_path / "run", "trainer.max_steps=4", "data.path=moved.txt")
    train(tmp_path / "whole", "trainer.max_steps=4", f"data.path={moved}")
    assert weights(tmp_path / "run").keys() == weights(tmp_path / "whole").keys()


def test_paths_are_compared_after_resolution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    old = {
        "init_from": "hf:real",
        "reward": {"checkpoint": "~/real/a"},
        "data": {"sources": {"a": {"name": "text", "path": ["link/*.txt", "b"]}}, "text": "a/b"},
    }
    new = {
        "init_from": f"hf:{tmp_path}/link",
        "reward": {"checkpoint": "real/./a"},
        "data": {"sources": {"a": {"name": "text", "path": [f"{tmp_path}/real/*.txt", "./b"]}}, "text": "a/./b"},
    }
    assert differences(old, new) == [("data.text", "a/b -> a/./b")]
    assert differences({"init_from": "real"}, {"init_from": "hf:real"}) == [("init_from", "real -> hf:real")]


def test_validation_frequency_may_change_and_best_val_loss_stays_correct(train: Train, weights: Weights, tmp_path: Path) -> None:
    words = ("save.every=1", "save.keep=0", "optimizer.schedule.shape=constant", "optimizer.schedule.warmup=0")
    train(tmp_path / "whole", *words, "trainer.max_steps=6")
    train(tmp_path / "run", *words, "val.every=2", "trainer.max_steps=3")
    result = train(tmp_path / "run", *words, "val.every=3", "val.sequences=5", "trainer.max_steps=6")
    assert equal(weights(tmp_path / "run"), weights(tmp_path / "whole"))
    values = {
        int(folder.name.removeprefix("step-")): read_manifest(folder).value_to_minimize
        for folder in list_checkpoints(tmp_path / "run")
    }
    assert [step for step, value in sorted(values.items()) if value is not None] == [2, 3, 6]
    assert result["val_loss"] == values[6]
    with pytest.raises(ConfigError, match=r"val\.fraction: 0\.05 -> 0\.1"):
        train(tmp_path / "run", "val.fraction=0.1")


def test_changed_fingerprint_of_any_source_is_rejected(tmp_path: Path) -> None:
    before = {"data": "a", "reward": "b", "objective.ptx_data": "c"}
    check_same_sources(tmp_path, before, dict(before))
    with pytest.raises(ConfigError, match=r"reward= and objective\.ptx_data=: the content has changed"):
        check_same_sources(tmp_path, before, {"data": "a", "reward": "x", "objective.ptx_data": "y"})


def test_second_process_in_a_run_folder_is_rejected(train: Train, tmp_path: Path) -> None:
    with lock_run_folder(tmp_path), pytest.raises(ConfigError, match="another process is training there"):
        train(tmp_path, "trainer.max_steps=1")
    assert train(tmp_path, "trainer.max_steps=1")["steps"] == 1


@pytest.mark.process
def test_run_killed_at_a_random_step_resumes_bit_identically(
    train: Train, weights: Weights, tiny_words: list[str], process_server: ProcessServer, tmp_path: Path
) -> None:
    words = ("trainer.max_steps=400", "save.every=20", "model.dropout=0.1", "val.every=50")
    folder = tmp_path / "killed"
    process = process_server.start_gptkit("train", *tiny_words, *words, f"hydra.run.dir={folder}")
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob("checkpoints/step-*/manifest.json")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
    finally:
        process.kill()
        process.wait()
    reached = max(int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*"))
    assert 20 <= reached < 400
    train(folder, *words)
    train(tmp_path / "whole", *words)
    assert equal(weights(folder), weights(tmp_path / "whole"))


def test_checkpoint_has_the_value_of_its_step(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "val.every=2", "save.every=1", "save.keep=9", "trainer.max_steps=5")
    result = {
        int(folder.name.removeprefix("step-")): read_manifest(folder).value_to_minimize for folder in list_checkpoints(tmp_path)
    }
    assert {step: rank is not None for step, rank in result.items()} == {1: False, 2: True, 3: False, 4: True, 5: True}


def test_changed_chat_template_logs_a_warning(train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "dialogues.jsonl"
    path.write_text('{"prompt": "1?", "completion": " 2"}\n' * 20, encoding="utf-8")
    words = ("objective=sft", "data=dialogues", f"data.path={path}", "tokenizer=bytes", "model.context=48", "trainer.max_steps=1")
    train(tmp_path / "first", *words, "chat_template=transcript")
    caplog.clear()
    train(tmp_path / "second", *words, f"init_from={tmp_path / 'first'}", "chat_template=plain")
    assert "was trained with chat_template=transcript, and this run uses chat_template=plain" in caplog.text
    caplog.clear()
    train(tmp_path / "third", *words, f"init_from={tmp_path / 'first'}")
    assert "chat_template" not in caplog.text
    assert read_settings(tmp_path / "third" / "config.yaml").chat_template == TranscriptConfig()


def test_policy_without_trained_language_model_logs_a_warning(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rankings.jsonl"
    path.write_text('{"prompt": "1?", "completions": [" 2", " 3"], "ranks": [0, 1]}\n' * 20, encoding="utf-8")
    words = ("data=rankings", f"data.path={path}", "tokenizer=bytes", "model.context=48", "trainer.max_steps=1")
    train(tmp_path / "rm", *words, "objective=reward")
    assert "random weights" not in caplog.text
    train(tmp_path / "dpo", *words, "objective=dpo")
    assert "objective=dpo starts from random weights; set init_from=<a run> to start from a trained model" in caplog.text
    caplog.clear()
    train(tmp_path / "of_rm", *words, "objective=dpo", f"init_from={tmp_path / 'rm'}")
    assert "was trained with objective=reward and no longer generates text" in caplog.text
    caplog.clear()
    train(tmp_path / "of_dpo", *words, "objective=dpo", f"init_from={tmp_path / 'dpo'}")
    assert caplog.text == ""


def test_init_from_loads_the_weights_of_another_run(train: Train, weights: Weights, tmp_path: Path) -> None:
    train(tmp_path / "first", "trainer.max_steps=2")
    train(tmp_path / "second", f"init_from={tmp_path / 'first'}", "trainer.max_steps=1", "optimizer.lr=0", "seed=9")
    assert equal(weights(tmp_path / "first"), weights(tmp_path / "second"))


def test_differences_list_changed_keys_except_those_that_may_differ() -> None:
    old = {
        "tokens": 10,
        "save": {"every": 1},
        "model": {"name": "gpt", "width": 8},
        "objective": {"sanity_checks": True},
        "trainer": {"max_steps": None, "max_time": "1"},
    }
    new = {
        "tokens": 99,
        "save": {"every": 2},
        "model": {"name": "gpt", "width": 9, "extra": [1]},
        "objective": {"sanity_checks": False},
        "trainer": {"max_steps": 5},
    }
    assert differences(old, new) == [("model.width", "8 -> 9"), ("model.extra", "None -> [1]")]
    assert differences(old, old) == []
