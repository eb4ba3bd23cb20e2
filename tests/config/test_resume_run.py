"""`gptkit train hydra.run.dir=<run>` continues a run with its own settings; further overrides change them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import gptkit
from gptkit.command import TrainCommand
from gptkit.config.resume_run import find_continued_run
from gptkit.errors import CheckpointError, ConfigError
from tests.command_line import GptkitCommand

WORDS = (
    *("data=text", "data.path=text.txt", "tokenizer=bytes", "model.layers=1", "model.heads=1", "model.width=4", "model.context=8"),
    *("batch.size=4", "trainer=cpu", "trainer.precision=32-true", "trainer.max_steps=2", "optimizer.lr=0.01", "val.sequences=4"),
    *("attention=banded", "optimizer=muon", "+callback@callback.stop=early_stopping", "samples.prompts=['\\${a} b',c]"),
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains a run of two steps. Returns the folder with the run and its training text."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "text.txt").write_text("one after another, " * 60, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        gptkit.run(gptkit.compose("train", [*WORDS, "hydra.run.dir=a run"]))
    return folder


@pytest.fixture
def run_copy(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Changes to a copy of that folder, in which the run is `a run`."""
    shutil.copytree(first, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def settings(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return content


def test_the_folder_alone_continues_the_run(run_copy: Path, gptkit_command: GptkitCommand) -> None:
    before = settings(run_copy / "a run")
    outcome = gptkit_command("train", "hydra.run.dir=a run")
    assert (outcome.status, outcome.out) == (0, "")
    assert "a run is finished after 2 steps" in outcome.error_line
    longer = gptkit_command("train", "hydra.run.dir=a run", "trainer.max_steps=3", "save.keep=5")
    assert longer.status == 0
    assert "continuing at step 2" in longer.err
    assert "3 steps of 4 x 8 tokens" in longer.err
    before["trainer"]["max_steps"], before["save"]["keep"] = 3, 5
    assert settings(run_copy / "a run") == before


def test_the_python_api_continues_a_run(run_copy: Path) -> None:
    run = gptkit.compose("train", ["hydra.run.dir=a run", "trainer.max_steps=3"])
    assert run.folder == Path("a run")
    assert run.overrides[-1] == "trainer.max_steps=3"
    assert gptkit.run(run)["steps"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer.lr=0.02"], "optimizer.lr: 0.01 -> 0.02"),
        (["model.width=8", "seed=1"], "model.width: 4 -> 8; seed: 0 -> 1"),
        (["~callback.stop"], "callback.stop.name: early_stopping -> None"),
        (["callback.stop.patience=9"], "callback.stop.patience: "),
        (["data.pth=x"], "there is no key data.pth. Did you mean data.path?"),
        (["model.width=x"], "model.width=x"),
        (["batch.size=0"], "batch.size=0 must be at least 1"),
        (["data=text", "data.path=text.txt"], "holds a run with other settings"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_overrides_are_checked_against_the_parts_of_the_run(
    words: list[str], message: str, run_copy: Path, gptkit_command: GptkitCommand
) -> None:
    outcome = gptkit_command("train", "hydra.run.dir=a run", *words)
    assert outcome.status == 2
    assert message in outcome.error_line


def test_a_stopped_run_prints_the_command_that_continues_it(
    run_copy: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptkit.training.module import TrainModule

    step = TrainModule.training_step

    def stop(self: TrainModule, batch: Any, batch_idx: int) -> None:
        self.stop_request.signal = 15
        step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainModule, "training_step", stop)
        outcome = gptkit_command("train", *WORDS, "trainer.max_steps=4")
    assert outcome.status == 143
    command = re.search(r"stopped after 1 of 4 steps, saved in runs/.*; (gptkit train .*) continues it", outcome.err)
    assert command is not None
    again = gptkit_command(*shlex.split(command[1])[1:])
    assert again.status == 0
    assert "continuing at step 1" in again.err
    assert "step 4/4" in again.err


def test_a_run_without_checkpoints_starts_again_with_its_settings(run_copy: Path, gptkit_command: GptkitCommand) -> None:
    shutil.rmtree(run_copy / "a run" / "checkpoints")
    outcome = gptkit_command("train", "hydra.run.dir=a run")
    assert outcome.status == 0
    assert "training: gpt of" in outcome.err
    assert "2 steps of 4 x 8 tokens" in outcome.err


def test_a_damaged_config_is_replaced_by_that_of_the_checkpoint(run_copy: Path, gptkit_command: GptkitCommand) -> None:
    (run_copy / "a run" / "config.yaml").write_text("model: [", encoding="utf-8")
    assert "is finished after 2 steps" in gptkit_command("train", "hydra.run.dir=a run").error_line
    shutil.rmtree(run_copy / "a run" / "checkpoints")
    with pytest.raises((CheckpointError, ConfigError), match=r"config\.yaml"):
        gptkit.compose("train", ["hydra.run.dir=a run"])


def test_a_run_continues_without_the_weights_that_it_started_from(run_copy: Path, gptkit_command: GptkitCommand) -> None:
    words = ("data=text", "data.path=text.txt", "init_from=a run", "trainer=cpu", "trainer.max_steps=1", "hydra.run.dir=second")
    assert gptkit_command("train", *words).status == 0
    shutil.rmtree(run_copy / "a run")
    assert "is finished" in gptkit_command("train", "hydra.run.dir=second").error_line
    assert gptkit_command("train", "hydra.run.dir=second", "trainer.max_steps=2").status == 0


def test_only_a_training_command_that_chooses_no_parts_continues_a_run(run_copy: Path) -> None:
    assert find_continued_run("train", ["hydra.run.dir='a run'"]) is not None
    assert find_continued_run("train", ["hydra.run.dir='a run'", "+shrink=tiny"]) is None
    assert find_continued_run("train", ["hydra.run.dir='a run'", "trainer=cpu"]) is None
    assert find_continued_run("train", ["hydra.run.dir=elsewhere"]) is None
    assert find_continued_run("train", []) is None
    assert find_continued_run("plan", ["hydra.run.dir='a run'"]) is None


def test_a_mistyped_folder_is_reported_before_a_new_run_starts(
    gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainCommand, "execute", lambda self, folder: None)
    note = "no run exists in runs/boks: starting a new run there with the default configuration"
    outcome = gptkit_command("train", "hydra.run.dir=runs/boks")
    assert (outcome.status, outcome.error_line) == (0, note)
    assert gptkit_command("train", "hydra.run.dir=runs/new", "seed=3").err == ""
    assert gptkit_command("train", "hydra.run.dir=runs/boks", "--cfg", "job").err == ""
