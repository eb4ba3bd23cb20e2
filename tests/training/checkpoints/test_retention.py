"""The newest checkpoints and the best one are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptkit.training.checkpoints.checkpoint import (
    best_checkpoint,
    latest_checkpoint,
)
from gptkit.training.checkpoints.retention import list_checkpoints
from tests.training.checkpoints.run_folder import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def test_newest_and_best_checkpoints_are_kept(run: Run) -> None:
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: float("nan"), 5: None, 6: 2.5}
    kept = []
    for step, loss in losses.items():
        run.save(step, keep=2, val_loss=loss)
        kept.append([int(path.name[5:]) for path in list_checkpoints(run.folder)])
    assert kept == [[1], [2, 1], [3, 2], [4, 3, 2], [5, 4, 2], [6, 5, 2]]
    assert best_checkpoint(run.folder) == run.folder / "checkpoints" / "step-00000002"


def test_newer_of_equal_checkpoints_is_best_and_keep_zero_keeps_all(run: Run) -> None:
    for step in (1, 2, 3):
        run.save(step, keep=0, val_loss=2.0)
    assert len(list_checkpoints(run.folder)) == 3
    best = best_checkpoint(run.folder)
    assert best is not None
    assert best.name == "step-00000003"


def test_saving_a_step_again_replaces_its_damaged_checkpoint(run: Run) -> None:
    run.save(10)
    torn = run.save(20)
    (torn / "model.safetensors").unlink()
    run.save(15, keep=1)
    assert [path.name for path in list_checkpoints(run.folder)] == [
        "step-00000020",
        "step-00000015",
    ]  # the incomplete checkpoint does not count
    again = run.save(20, keep=1)
    assert latest_checkpoint(run.folder) == again
    assert [path.name for path in again.parent.iterdir()] == ["step-00000020"]
