"""logger=csv: Lightning's files, which a continued run continues."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gptkit.training.reporting.metrics_csv import read_metrics


def steps(folder: Path, column: str) -> list[int]:
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file) if row[column]]


def test_it_has_the_metrics_and_hyperparameters_of_the_run(log: Callable[..., Path]) -> None:
    folder = log("logger=csv")
    assert steps(folder, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert steps(folder, "val/loss") == [2, 4, 6]
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert losses == read_metrics(folder)["train/loss"]
    assert yaml.safe_load((folder / "csv" / "hparams.yaml").read_text())["optimizer"]["lr"] == 0.01
    assert not (folder / "tensorboard").exists()


def test_a_continued_run_keeps_the_rows_up_to_its_checkpoint(log: Callable[..., Path]) -> None:
    folder = log("logger=csv", "save.keep=0")
    shutil.rmtree(folder / "checkpoints" / "step-00000006")  # as if it had been killed at step 6
    with (folder / "csv" / "metrics.csv").open("a") as file:
        file.write("0.1,7")
    log("logger=csv", "save.keep=0", steps=8)
    assert steps(folder, "train/loss") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert steps(folder, "val/loss") == [2, 4, 6, 8]


def test_a_run_that_starts_again_replaces_the_rows(log: Callable[..., Path]) -> None:
    folder = log("logger=csv")
    shutil.rmtree(folder / "checkpoints")
    log("logger=csv", steps=2)
    assert steps(folder, "train/loss") == [1, 2]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", bytes(range(256)) * 9], ids=["foreign", "binary"])
def test_a_damaged_file_is_kept_under_another_name(log: Callable[..., Path], content: bytes) -> None:
    folder = log("logger=csv", steps=2)
    (folder / "csv" / "metrics.csv").write_bytes(content)
    log("logger=csv", steps=4)
    assert steps(folder, "train/loss") == [3, 4]
    assert (folder / "csv" / "metrics.csv.damaged").read_bytes() == content
