import contextlib
import csv
import json
import math
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gptkit.atomic_io import write_file
from gptkit.errors import GptkitError
from gptkit.training.reporting.metrics_csv import COLUMNS, MetricsFile, read_metrics, read_rows, truncate_metrics
from gptkit.training.reporting.metrics_logger import read_scalars
from gptkit.training.reporting.samples import read_samples, truncate_samples

Open = Callable[[], MetricsFile]


@pytest.fixture
def open_metrics(path: Path) -> Iterator[Open]:
    """`open_metrics()`: opens the file, which may be opened several times. All are closed at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(MetricsFile(path)))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def test_numbers_round_trip_exactly(path: Path, open_metrics: Open) -> None:
    loss = torch.tensor([1 / 3, 1e-30, 12345.678], dtype=torch.float32)
    file = open_metrics()
    for step, value in enumerate(read_scalars({"a": loss[0], "b": loss[1], "c": loss[2]}).values()):
        file.add({"step": step, "tokens": 10 * step, "train/loss": value})
    assert torch.equal(torch.tensor(read_metrics(path.parent)["train/loss"], dtype=torch.float32), loss)


def test_row_is_on_disk_as_soon_as_it_is_added(path: Path, open_metrics: Open) -> None:
    file = open_metrics()
    assert tuple(path.read_text().strip().split(",")) == COLUMNS
    file.add({"step": 10, "tokens": 100, "train/loss": 2.5})
    assert read(path)[-1]["train/loss"] == "2.5"


def test_validation_is_merged_into_the_row_of_its_step(path: Path, open_metrics: Open) -> None:
    file = open_metrics()
    file.add({"step": 10, "tokens": 100, "train/loss": 2.5})
    file.add({"step": 20, "tokens": 200, "train/loss": 2.0, "wall_seconds": 1.0})
    file.add({"step": 20, "tokens": 200, "val/loss": 2.25, "wall_seconds": 3.0})
    file.add({"step": 25, "tokens": 250, "val/loss": 2.125})
    rows = read(path)
    assert [row["step"] for row in rows] == ["10", "20", "25"]
    assert (rows[1]["train/loss"], rows[1]["val/loss"], rows[1]["wall_seconds"]) == ("2.0", "2.25", "3.0")
    assert (rows[2]["train/loss"], rows[2]["val/loss"]) == ("", "2.125")


@pytest.mark.parametrize("same_step", [False, True])
def test_new_metric_adds_a_column(path: Path, open_metrics: Open, same_step: bool) -> None:
    file = open_metrics()
    file.add({"step": 10, "tokens": 100, "train/loss": 2.5})
    file.add({"step": 10 if same_step else 20, "tokens": 200, "val/accuracy": 0.5})
    file.add({"step": 30, "tokens": 300, "train/loss": 2.0, "val/accuracy": 0.75})
    rows = read(path)
    assert list(rows[0]) == [*COLUMNS, "val/accuracy"]
    assert [row["val/accuracy"] for row in rows] == (["0.5", "0.75"] if same_step else ["", "0.5", "0.75"])
    assert rows[0]["train/loss"] == "2.5"


def test_reopened_file_continues_after_its_last_row(path: Path, open_metrics: Open) -> None:
    first = open_metrics()
    first.add({"step": 10, "tokens": 100, "train/loss": 2.5, "train/accuracy": 0.5})
    first.close()
    second = open_metrics()
    second.add({"step": 10, "tokens": 100, "val/loss": 2.25})
    second.add({"step": 20, "tokens": 200, "train/loss": 2.0, "train/accuracy": 0.625})
    assert [(row["train/loss"], row["val/loss"], row["train/accuracy"]) for row in read(path)] == [
        ("2.5", "2.25", "0.5"),
        ("2.0", "", "0.625"),
    ]


def test_incomplete_last_row_is_ignored(path: Path, open_metrics: Open) -> None:
    file = open_metrics()
    file.add({"step": 10, "tokens": 100, "train/loss": 2.5})
    file.add({"step": 20, "tokens": 200, "train/loss": 2.0})
    file.close()
    content = path.read_text()
    for length in range(1, len("20,200,2.0,,,,,")):
        path.write_text(content[:-length])
        assert [row["step"] for row in read_rows(path)] == ["10"]
    file = open_metrics()
    file.add({"step": 20, "tokens": 200, "train/loss": 1.5})
    assert [row["train/loss"] for row in read(path)] == ["2.5", "1.5"]


def test_resumed_run_removes_rows_and_samples_after_its_checkpoint(path: Path, open_metrics: Open) -> None:
    file = open_metrics()
    for step in (10, 20, 30):
        file.add({"step": step, "tokens": step, "train/loss": float(step), "train/accuracy": 0.5})
    file.close()
    lines = [{"step": step, "tokens": step, "prompt": "", "text": "a\u2028line"} for step in (10, 20, 30)]
    samples = path.parent / "samples.jsonl"
    samples.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines) + '{"step": 3')
    truncate_metrics(path.parent, 20)
    truncate_samples(path.parent, 20)
    assert read_metrics(path.parent)["train/loss"] == [10.0, 20.0]
    assert read_samples(path.parent) == lines[:2]
    truncate_metrics(path.parent, 0)
    truncate_samples(path.parent, 0)
    assert path.read_text().splitlines() == [",".join([*COLUMNS, "train/accuracy"])]
    assert read_samples(path.parent) == []


def test_truncating_a_folder_without_logs_creates_no_file(tmp_path: Path) -> None:
    truncate_metrics(tmp_path, 5)
    truncate_samples(tmp_path, 5)
    assert list(tmp_path.iterdir()) == []
    assert all(values == [] for values in read_metrics(tmp_path).values())


def test_full_disk_is_reported_in_one_line_and_keeps_earlier_rows(path: Path, open_metrics: Open) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = open_metrics()
    file.add({"step": 10, "tokens": 100, "train/loss": 2.5})
    content = path.read_text()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 5, hard))
    try:
        with pytest.raises(GptkitError, match=r"metrics\.csv: the disk is full"):
            file.add({"step": 20, "tokens": 200, "train/loss": 2.0})
        with pytest.raises(GptkitError, match=r"summary\.json: the disk is full"):
            write_file(path.parent / "summary.json", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_metrics(path.parent)["train/loss"] == [2.5]
    assert [child.name for child in path.parent.iterdir()] == ["metrics.csv"]


def test_infinity_is_distinguished_from_missing_values(path: Path, open_metrics: Open) -> None:
    file = open_metrics()
    file.add({"step": 10, "tokens": 100, "train/loss": float("inf")})
    file.add({"step": 20, "tokens": 200, "val/loss": 1.0})
    columns = read_metrics(path.parent)
    assert columns["train/loss"][0] == math.inf
    assert math.isnan(columns["train/loss"][1])
