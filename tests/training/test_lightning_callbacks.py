"""Lightning's callbacks and profilers in a run: they see its metrics and its steps, and what they log reaches its files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint, RichProgressBar

import gptkit
from gptkit.errors import ConfigError
from gptkit.training.reporting.metrics_csv import read_metrics

ROWS = ("trainer.log_every_n_steps=2", "val.every=2", "save.every=2", "optimizer.schedule.shape=constant", "logger=csv")


@pytest.fixture
def observe(tiny_words: list[str], tmp_path: Path) -> Callable[..., Any]:
    """`observe(callbacks, *words)`: a tiny run with these callbacks, always in the same folder; gives its result."""

    def run(callbacks: list[Any], *words: str) -> Any:
        composed = gptkit.compose("train", [*tiny_words, *ROWS, f"hydra.run.dir={tmp_path / 'run'}", *words])
        return gptkit.run(composed, callbacks=callbacks)

    return run


def logged(folder: Path, column: str) -> list[tuple[int, float]]:
    """Step and value of every row of logger=csv that has the column."""
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row.get(column)]


class Recorder(lightning.Callback):
    """Notes what a callback can see."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.steps: list[int] = []
        self.train: dict[int, float] = {}
        self.val: dict[int, float] = {}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.starts.append(trainer.global_step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.steps.append(trainer.global_step)
        if trainer.global_step % 2 == 0:
            self.train[trainer.global_step] = float(trainer.callback_metrics["train/loss"])

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.val[trainer.global_step] = float(trainer.callback_metrics["val/loss"])


def test_callbacks_see_the_metrics_and_steps_of_the_run_also_after_a_resume(observe: Callable[..., Any], tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    observe([first], "trainer.max_steps=4")
    observe([second], "trainer.max_steps=8")
    assert (first.starts, first.steps) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert (second.starts, second.steps) == ([4, 5, 6, 7], [5, 6, 7, 8])
    metrics = read_metrics(tmp_path / "run")
    rows = {int(step): index for index, step in enumerate(metrics["step"])}
    train, val = first.train | second.train, first.val | second.val
    assert list(train) == list(val) == [2, 4, 6, 8]
    assert all(train[step] == metrics["train/loss"][rows[step]] for step in train)
    assert all(val[step] == pytest.approx(metrics["val/loss"][rows[step]], rel=1e-6) for step in val)


def test_early_stopping_of_lightning_stops_the_run_and_keeps_its_count(observe: Callable[..., Any]) -> None:
    def callback() -> EarlyStopping:
        return EarlyStopping("val/loss", patience=2, min_delta=100.0)  # no improvement is large enough

    assert observe([callback()], "trainer.max_steps=2")["steps"] == 2
    result = observe([callback()], "trainer.max_steps=20")
    assert result["steps"] == 6  # the first validation counts as an improvement
    assert result["finished"] is True


class Logs(lightning.Callback):
    """Reports metrics of its own at every step and at every validation."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("mine/step", trainer.global_step)  # type: ignore[attr-defined]  # Lightning adds it
        pl_module.log("mine/hidden", 1.0, logger=False)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.log_dict({"mine/val": torch.tensor([0.5]), "mine/seen": trainer.callback_metrics["mine/hidden"]})


def test_what_a_callback_logs_is_in_the_row_of_its_step(observe: Callable[..., Any], tmp_path: Path) -> None:
    observe([Logs()], "trainer.max_steps=5")
    metrics = read_metrics(tmp_path / "run")
    assert [int(step) for step in metrics["step"]] == [2, 4, 5]
    assert metrics["mine/step"] == [2, 4, 5]
    assert metrics["mine/val"] == [0.5, 0.5, 0.5]
    assert metrics["mine/seen"] == [1, 1, 1]
    assert "mine/hidden" not in metrics
    assert logged(tmp_path / "run", "mine/step") == [(2, 2.0), (4, 4.0), (5, 5.0)]


def test_what_is_logged_when_the_epoch_ends_is_in_the_last_row(observe: Callable[..., Any], tmp_path: Path) -> None:
    class Epoch(lightning.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            self.log("mine/epoch", trainer.global_step)  # type: ignore[attr-defined]

    observe([Epoch()], "trainer.max_steps=3")
    metrics = read_metrics(tmp_path / "run")
    assert [int(step) for step in metrics["step"]] == [2, 3]
    assert metrics["mine/epoch"][1] == 3


class SkippingScaler(torch.amp.GradScaler):
    """Skips the first step, as a scaler does whose gradients overflow."""

    skipped = False

    def step(self, optimizer: Any, *arguments: Any, **named: Any) -> float | None:
        if not self.skipped:
            self.skipped = True
            return None
        return super().step(optimizer, *arguments, **named)


class Fp16(Recorder):
    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        scaler = SkippingScaler("cpu", init_scale=1.0)
        scaler.scale(torch.ones(()))  # creates the scale
        trainer.precision_plugin.scaler = scaler


def test_a_step_that_fp16_training_skips_counts(observe: Callable[..., Any]) -> None:
    recorder = Fp16()
    assert observe([recorder], "trainer.max_steps=4")["steps"] == 4
    assert (recorder.starts, recorder.steps) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert list(recorder.val) == [2, 4]


def test_a_step_of_ppo_counts_once(observe: Callable[..., Any], tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"count {n}:"}) + "\n" for n in range(40)), encoding="utf-8")
    ppo = ("objective=ppo", "objective.minibatch=2", "objective.inner_epochs=2", "objective.max_new_tokens=4", "val.sequences=2")
    data = ("data=prompts", f"data.path={prompts}", "reward=rules", "reward.length=1", "tokenizer=bytes", "model.context=16")
    recorder = Recorder()
    observe([recorder], *ppo, *data, "batch.size=4", "trainer.max_steps=3")  # four updates in a step
    assert (recorder.starts, recorder.steps) == ([0, 1, 2], [1, 2, 3])
    assert list(recorder.val) == [2, 3]


def test_a_value_that_is_not_a_number_is_refused(observe: Callable[..., Any]) -> None:
    class Wrong(lightning.Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            pl_module.log("two", torch.zeros(2))

    with pytest.raises(ValueError, match=r"log\('two', \.\.\.\) needs one number"):
        observe([Wrong()])


@pytest.mark.parametrize("cls", [ModelCheckpoint, RichProgressBar])
def test_callbacks_that_do_what_gptkit_does_are_refused(observe: Callable[..., Any], cls: Any) -> None:
    with pytest.raises(ConfigError, match=f"the callback {cls.__name__} cannot be used: gptkit"):
        observe([cls()])


def test_a_callback_that_needs_a_logger_says_so_in_one_line(observe: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"^the callback LearningRateMonitor needs a logger, and none is chosen; .*logger=csv$"):
        observe([LearningRateMonitor()], "logger=null", "data.path=nowhere.txt")


def test_callbacks_are_for_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gptkit plan takes no callbacks"):
        gptkit.run(gptkit.compose("plan"), callbacks=[Recorder()])


def test_the_monitors_log_at_the_steps_of_the_run(train: Callable[..., Any], tmp_path: Path) -> None:
    words = ("+callback@callback.lr=learning_rate_monitor", "+callback@callback.device=device_stats_monitor")
    train(tmp_path / "run", *ROWS, *words, "trainer.max_steps=4", "optimizer.schedule.warmup=0")
    train(tmp_path / "run", *ROWS, *words, "trainer.max_steps=6", "optimizer.schedule.warmup=0")
    folder = tmp_path / "run"
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    (rate, *_) = [name for name in columns if name.startswith("lr-AdamW")]
    assert logged(folder, rate) == [(2, 0.01), (4, 0.01), (6, 0.01)]
    (load,) = [name for name in columns if "on_train_batch_end" in name and name.endswith("cpu_percent")]
    assert [step for step, _ in logged(folder, load)] == [2, 4, 6]


@pytest.mark.parametrize(("profiler", "words"), [("simple", "Profiler Report"), ("advanced", "Profile stats for")])
def test_a_profiler_prints_its_table(
    train: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], profiler: str, words: str
) -> None:
    train(tmp_path / "run", f"trainer.profiler={profiler}", "trainer.max_steps=2")
    captured = capsys.readouterr()
    assert words in captured.err
    assert "run_training_batch" in captured.err
    assert captured.out == ""
