"""What the folders of runs say about a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

from gptkit.training.checkpoints.load import open_checkpoint
from gptkit.training.provenance import provenance_of
from tests.command_line import GptkitCommand

TEXT = ["data=text", "data.path=x.txt", "tokenizer=bytes", "trainer=cpu", "val.every=1", "save.every=1", "save.keep=0"]


def test_the_metrics_are_those_of_the_checkpoint(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 60)
    result = gptkit_command("train", "+gpt2=124m", "+shrink=tiny", *TEXT, "trainer.max_steps=4", "hydra.run.dir=first")
    assert result.status == 0, result.err
    early, late = (provenance_of(open_checkpoint(f"first/checkpoints/step-0000000{step}")) for step in (1, 4))
    assert (early.step, early.last_step, early.tokens) == (1, 4, 128)
    assert early.metrics.keys() == {"val_loss"}
    assert late.metrics.keys() == {"val_loss", "train_loss"}
    assert early.metrics["val_loss"] != late.metrics["val_loss"]
    assert late.versions["gptkit"]

    result = gptkit_command("train", "init_from=first", *TEXT, "trainer.max_steps=1", "batch.size=2", "hydra.run.dir=second")
    assert result.status == 0, result.err
    second = provenance_of(open_checkpoint("second"))
    assert [(stage.objective, stage.data) for stage in second.stages] == [("lm", "text (x.txt)")] * 2
    shutil.rmtree("first")
    assert len(provenance_of(open_checkpoint("second")).stages) == 1


def test_a_checkpoint_outside_its_run_is_described_by_itself(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 60)
    result = gptkit_command("train", "+gpt2=124m", "+shrink=tiny", *TEXT, "trainer.max_steps=1", "hydra.run.dir=run")
    assert result.status == 0, result.err
    shutil.copytree("run/checkpoints/step-00000001", "elsewhere/step-00000001")
    known = provenance_of(open_checkpoint("elsewhere/step-00000001"))
    assert (known.step, known.last_step) == (1, None)
    assert known.metrics.keys() == {"val_loss"}
