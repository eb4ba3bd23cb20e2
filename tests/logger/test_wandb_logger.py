"""logger=wandb: what an offline run holds."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wandb

from gptkit.training.reporting.metrics_csv import read_metrics
from tests.logger.wandb_files import read_config, read_history, wait_until_written


@pytest.fixture(autouse=True)
def _removed_folders() -> Iterator[None]:
    """Removes the temporary folders of logged tables, which wandb leaves until the process ends."""
    yield
    for artifact in [each for each in gc.get_objects() if isinstance(each, wandb.Artifact)]:
        if artifact._tmp_dir is not None:
            artifact._tmp_dir.cleanup()


def test_a_continued_run_has_the_same_id_and_continues_its_curves(
    log: Callable[..., Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "openai", raising=False)  # of other tests: wandb would advertise a product for its users
    words = ("logger=wandb", "logger.wandb.offline=true", "logger.wandb.project=it's")
    folder = log(*words, steps=4)
    log(*words, steps=6)
    assert "wandb" not in capfd.readouterr().err
    assert wandb.run is None  # another run of this process gets a run of its own
    first, second = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    run_id = (folder / "wandb" / "run_id").read_text().strip()
    assert first.name == second.name == f"run-{run_id}.wandb"
    for path in (first, second):
        wait_until_written(path)
    rows = read_history(first) + read_history(second)
    losses = [(row["trainer/global_step"], row["train/loss"]) for row in rows if "train/loss" in row]
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert [loss for _, loss in losses] == read_metrics(folder)["train/loss"]
    assert [row["trainer/global_step"] for row in rows if any(key.startswith("sample 1") for key in row)] == [4, 6]
    assert read_config(first)["optimizer"]["lr"] == 0.01
    assert read_config(second)["trainer"]["max_steps"] == 6


def test_two_loggers_of_one_run_have_a_wandb_run_each(log: Callable[..., Path]) -> None:
    words = ("logger=wandb", "logger.wandb.offline=true", "+logger@logger.second=wandb", "logger.second.offline=true")
    folder = log(*words, steps=2)
    assert wandb.run is None
    ids = [(folder / name / "run_id").read_text().strip() for name in ("wandb", "second")]
    assert ids[0] != ids[1]
    for place, run_id in zip(("wandb", "second/wandb"), ids, strict=True):
        (path,) = (folder / place).glob(f"offline-run-*/run-{run_id}.wandb")
        wait_until_written(path)
        assert [row["trainer/global_step"] for row in read_history(path) if "train/loss" in row] == [1, 2]
