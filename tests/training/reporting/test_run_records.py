"""The files that a small run writes into its folder."""

import csv
import io
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.command import TrainCommand
from gptkit.data import TextConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig
from gptkit.model.evaluation_mode import evaluation_mode
from gptkit.objective import LMConfig
from gptkit.optimizer import AdamWConfig
from gptkit.run_config import BatchConfig, SamplesConfig, SaveConfig, ValidationConfig
from gptkit.scaling.compute import flops_per_token
from gptkit.tokenizer import CharTokenizerConfig
from gptkit.training.checkpoints.checkpoint import read_checkpoint
from gptkit.training.checkpoints.retention import list_checkpoints
from gptkit.training.fit import fit
from gptkit.training.reporting.console_output import ProgressDisplay
from gptkit.training.reporting.speed_and_mfu import SpeedMeter
from gptkit.training.train_state import TrainState

STEPS = 12


def settings(text: Path, *, samples_every: int = 4, prompts: tuple[str, ...] = ("the", ""), steps: int = STEPS) -> TrainCommand:
    return TrainCommand(
        model=GPTConfig(layers=1, heads=2, width=16, context=16, dropout=0.2),
        attention=DenseAttentionConfig(),
        objective=LMConfig(),
        tokenizer=CharTokenizerConfig(),
        data=TextConfig(path=str(text)),
        optimizer=AdamWConfig(lr=1e-2),
        batch=BatchConfig(size=4, micro=4),
        val=ValidationConfig(every=6, fraction=0.2, sequences=4),
        save=SaveConfig(every=5, keep=0),
        logger={"tensorboard": {"name": "tensorboard"}},
        samples=SamplesConfig(every=samples_every, prompts=list(prompts), max_new_tokens=5),
        trainer={"accelerator": "cpu", "devices": 1, "log_every_n_steps": 2, "precision": "32-true", "max_steps": steps},
    )


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 60)
    return path


@pytest.fixture(scope="module")
def run(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "fox"
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other tests, because the number of threads affects rounding
    fit(settings(text), folder)
    torch.set_num_threads(before)
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "metrics.csv").read_text())))


def test_metrics_are_logged_every_second_step_and_at_validations(run: Path) -> None:
    logged = rows(run)
    assert [int(row["step"]) for row in logged] == [2, 4, 6, 8, 10, 12]
    assert [int(row["tokens"]) for row in logged] == [step * 4 * 16 for step in (2, 4, 6, 8, 10, 12)]
    assert [int(row["step"]) for row in logged if row["val/loss"]] == [6, 12]
    for row in logged:
        assert math.isfinite(float(row["train/loss"]))
        assert float(row["grad_norm"]) > 0
        assert float(row["tokens_per_second"]) > 0
    walls = [float(row["wall_seconds"]) for row in logged]
    assert walls == sorted(walls)


def test_summary_agrees_with_the_last_row_of_metrics(run: Path) -> None:
    summary, last = json.loads((run / "summary.json").read_text()), rows(run)[-1]
    assert list(summary)[:10] == [
        "parameters",
        "tokens",
        "steps",
        "train_loss",
        "val_loss",
        "tokens_per_second",
        "mfu",
        "wall_seconds",
        "peak_memory_bytes",
        "finished",
    ]
    assert (summary["steps"], summary["tokens"], summary["finished"]) == (STEPS, STEPS * 4 * 16, True)
    assert summary["train_loss"] == float(last["train/loss"])
    assert summary["val_loss"] == float(last["val/loss"])
    assert summary["wall_seconds"] >= float(last["wall_seconds"])
    state = read_checkpoint(list_checkpoints(run)[0]).model_state
    assert summary["parameters"] == sum(tensor.numel() for tensor in state.values())
    environment = json.loads((run / "environment.json").read_text())
    vocabulary = state["wte.weight"].shape[0]
    run_settings = settings(Path("x"))
    assert environment["flops_per_token"] == flops_per_token(run_settings.model, run_settings.attention, vocabulary)
    assert summary["mfu"] == pytest.approx(
        summary["tokens_per_second"] * environment["flops_per_token"] / environment["peak_flops"]
    )


def test_samples_are_written_for_every_prompt(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().split("\n") if line]
    assert [(line["step"], line["prompt"]) for line in lines] == [(step, prompt) for step in (4, 8, 12) for prompt in ("the", "")]
    assert all(isinstance(line["text"], str) for line in lines)


def test_run_folder_holds_the_documented_files(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names == {
        "config.yaml",
        "metrics.csv",
        "tensorboard",
        "summary.json",
        "report.html",
        "checkpoints",
        "samples.jsonl",
        "environment.json",
    }
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert [path.name for path in list_checkpoints(run)] == ["step-00000012", "step-00000010", "step-00000005"]


def test_sampling_does_not_change_the_weights(run: Path, text: Path, tmp_path: Path) -> None:
    fit(settings(text, samples_every=0, prompts=()), tmp_path / "silent")
    with_samples, without = (read_checkpoint(list_checkpoints(folder)[0]) for folder in (run, tmp_path / "silent"))
    for name, tensor in with_samples.model_state.items():
        assert torch.equal(tensor, without.model_state[name]), name
    assert not (tmp_path / "silent" / "samples.jsonl").exists()


def test_extended_run_adds_up_its_time_and_keeps_its_log(text: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fit(settings(text, steps=6), folder)
    before = json.loads((folder / "summary.json").read_text())
    with (folder / "metrics.csv").open("a") as file:
        file.write("8,512,1.0,,,,,\n")  # logged after the checkpoint, then killed
    fit(settings(text, steps=10), folder)
    after = json.loads((folder / "summary.json").read_text())
    assert after["wall_seconds"] > before["wall_seconds"]
    assert [int(row["step"]) for row in rows(folder)] == [2, 4, 6, 8, 10]
    assert float(rows(folder)[3]["train/loss"]) != 1.0


def test_prompt_longer_than_the_context_is_rejected_before_training(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"samples\.prompts: 'the the.* is 19 tokens.*context is 16"):
        fit(settings(text, prompts=("the the the the the",)), tmp_path / "run")


def test_evaluation_mode_restores_module_modes_and_random_state() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout()))
    model[1].eval()
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        torch.rand(5)
    assert [module.training for module in model.modules()] == [True, True, False, False]
    assert torch.equal(torch.rand(2), expected)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


METRICS = {"accuracy": 0.5, "accuracy_low": 0.4375, "accuracy_high": 0.5625, "f1": 0.25}


def show(stream: io.StringIO, *, seconds_per_step: float, steps: int, metrics: dict[str, Any] | None = None) -> int:
    """Show the progress of `steps` steps. Return how often the loss was read."""
    clock, reads = Clock(), 0

    class Loss:
        def __float__(self) -> float:
            nonlocal reads
            reads += 1
            return 2.5

    meter = SpeedMeter(clock=clock)
    state = TrainState(last_step=steps, loss=Loss(), val_loss=2.75, val_metrics=METRICS)  # type: ignore[arg-type]
    state.metrics = metrics or {}
    trainer, module = SimpleNamespace(is_global_zero=True, sanity_checking=False), SimpleNamespace(state=state)
    bar = ProgressDisplay(meter, stream=stream, clock=clock)
    meter.start(0)
    bar.on_train_start(trainer, module)
    for step in range(1, steps + 1):
        clock.now += seconds_per_step
        state.step, state.tokens = step, 100 * step
        bar.on_train_batch_end(trainer, module, None, None, step)
    bar.on_train_end(trainer, module)
    return reads


def test_progress_without_a_terminal_prints_a_line_every_ten_seconds() -> None:
    stream = io.StringIO()
    show(stream, seconds_per_step=0.5, steps=100)
    lines = stream.getvalue().splitlines()
    assert len(lines) <= 7  # in 50 seconds: the first line soon, then one every ten seconds, and the end
    assert lines[0].startswith("step ")
    for words in ("/100", "loss 2.5000", "val 2.7500  accuracy 0.5000  200 tokens/s", " left"):
        assert words in lines[1]
    assert all("0.4" not in line for line in lines[:-1])
    assert lines[-1].startswith("step 100/100  loss 2.5000  val 2.7500  accuracy 0.5000 (95%: 0.4375 to 0.5625)  ")


def test_progress_shows_the_seconds_of_each_phase_of_a_step() -> None:
    stream = io.StringIO()
    times = {"seconds_generate": torch.tensor(2.51), "kl": torch.tensor(1.0), "seconds_ptx": torch.tensor(0.5)}
    show(stream, seconds_per_step=0.5, steps=10, metrics=times)
    assert "accuracy 0.5000  generate 2.5 s, ptx 0.5 s  200 tokens/s" in stream.getvalue()


def test_progress_bar_is_drawn_at_most_four_times_a_second() -> None:
    stream = Terminal()
    assert show(stream, seconds_per_step=0.01, steps=1000) <= 4 * 10 + 2
    assert "step 1,000/1,000" in stream.getvalue()
