"""`gptkit train hydra.run.dir=<run>` alone continues a run, whatever it was begun with; further words go on top of its settings."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import gptkit
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
    """A run of two steps, and beside it the text that it learned from."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "text.txt").write_text("one after another, " * 60, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        gptkit.run(gptkit.compose("train", [*WORDS, "hydra.run.dir=a run"]))
    return folder


@pytest.fixture
def begun(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with that run in `a run`."""
    shutil.copytree(first, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def settings(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return found


def test_its_folder_alone_names_a_run(begun: Path, gptkit_command: GptkitCommand) -> None:
    before = settings(begun / "a run")
    outcome = gptkit_command("train", "hydra.run.dir=a run")
    assert (outcome.status, outcome.out) == (0, "")
    assert "a run is finished after 2 steps" in outcome.error_line
    longer = gptkit_command("train", "hydra.run.dir=a run", "trainer.max_steps=3", "save.keep=5")
    assert longer.status == 0
    assert "continuing at step 2" in longer.err
    assert "3 steps of 4 x 8 tokens" in longer.err
    before["trainer"]["max_steps"], before["save"]["keep"] = 3, 5
    assert settings(begun / "a run") == before


def test_in_python_too(begun: Path) -> None:
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
def test_words_are_checked_against_its_parts(words: list[str], message: str, begun: Path, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("train", "hydra.run.dir=a run", *words)
    assert outcome.status == 2
    assert message in outcome.error_line


def test_the_line_of_a_stopped_run_is_the_command_that_continues_it(
    begun: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gptkit.training.module import TrainModule

    step = TrainModule.training_step

    def stopped(self: TrainModule, batch: Any, batch_idx: int) -> None:
        self.stop_request.signal = 15
        step(self, batch, batch_idx)

    with monkeypatch.context() as here:
        here.setattr(TrainModule, "training_step", stopped)
        outcome = gptkit_command("train", *WORDS, "trainer.max_steps=4")
    assert outcome.status == 143
    found = re.search(r"stopped after 1 of 4 steps, saved in runs/.*; (gptkit train .*) continues it", outcome.err)
    assert found is not None
    again = gptkit_command(*shlex.split(found[1])[1:])
    assert again.status == 0
    assert "continuing at step 1" in again.err
    assert "step 4/4" in again.err


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(begun: Path, gptkit_command: GptkitCommand) -> None:
    shutil.rmtree(begun / "a run" / "checkpoints")
    outcome = gptkit_command("train", "hydra.run.dir=a run")
    assert outcome.status == 0
    assert "training: gpt of" in outcome.err
    assert "2 steps of 4 x 8 tokens" in outcome.err


def test_a_torn_configuration_is_found_in_the_checkpoint(begun: Path, gptkit_command: GptkitCommand) -> None:
    (begun / "a run" / "config.yaml").write_text("model: [", encoding="utf-8")
    assert "is finished after 2 steps" in gptkit_command("train", "hydra.run.dir=a run").error_line
    shutil.rmtree(begun / "a run" / "checkpoints")
    with pytest.raises((CheckpointError, ConfigError), match=r"config\.yaml"):
        gptkit.compose("train", ["hydra.run.dir=a run"])


def test_what_it_began_with_need_not_be_there_any_more(begun: Path, gptkit_command: GptkitCommand) -> None:
    words = ("data=text", "data.path=text.txt", "init_from=a run", "trainer=cpu", "trainer.max_steps=1", "hydra.run.dir=second")
    assert gptkit_command("train", *words).status == 0
    shutil.rmtree(begun / "a run")
    assert "is finished" in gptkit_command("train", "hydra.run.dir=second").error_line
    assert gptkit_command("train", "hydra.run.dir=second", "trainer.max_steps=2").status == 0


def test_only_a_verb_that_trains_and_chooses_nothing_continues(begun: Path) -> None:
    assert find_continued_run("train", ["hydra.run.dir='a run'"]) is not None
    assert find_continued_run("train", ["hydra.run.dir='a run'", "+shrink=tiny"]) is None
    assert find_continued_run("train", ["hydra.run.dir='a run'", "trainer=cpu"]) is None
    assert find_continued_run("train", ["hydra.run.dir=elsewhere"]) is None
    assert find_continued_run("train", []) is None
    assert find_continued_run("plan", ["hydra.run.dir='a run'"]) is None
