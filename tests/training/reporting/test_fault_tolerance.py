"""Damaged reports of a run: the run resumes, a warning names the damage, and intact lines are kept."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.training.reporting.metrics_csv import read_metrics, read_rows
from gptkit.training.reporting.report import write_report
from gptkit.training.reporting.samples import read_samples
from gptkit.training.reporting.summary import read_summary

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda line: line[: len(line) // 3],
    "NUL bytes": lambda line: b"\0" * len(line),
    "no UTF-8": lambda line: b"\xff\xfe" + line,
    "empty": lambda line: b"",
    "a column more": lambda line: line + b",7",
    "text for a number": lambda line: line.replace(b"4", b"four"),
    "a quote": lambda line: b'"' + line,
    "a huge step": lambda line: b"9" * 5000 + line,
    "no object": lambda line: b"[1, 2]",
    "deep": lambda line: b'{"step":' + b"[" * 100_000,
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory, tiny_words: list[str]) -> Path:
    """A run of four steps with a row, a sample and a checkpoint of every second step."""
    import gptkit

    folder = tmp_path_factory.mktemp("intact") / "run"
    words = ["trainer.max_steps=4", "trainer.log_every_n_steps=1", "save.every=2", "save.keep=0", "samples.every=1"]
    words += ["samples.prompts=[a]", "samples.max_new_tokens=2", "val.every=2"]
    gptkit.run(gptkit.compose("train", [*tiny_words, *words, f"hydra.run.dir={folder}"]))
    return folder


@pytest.fixture
def run(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "run"))


@pytest.fixture
def resume(train: Callable[..., Any]) -> Callable[[Path], Any]:
    """Resume the run until its sixth step."""
    more = ["trainer.log_every_n_steps=1", "save.every=2", "save.keep=0", "samples.every=1", "samples.prompts=[a]"]
    more += ["samples.max_new_tokens=2", "val.every=2"]
    return lambda folder: train(folder, "trainer.max_steps=6", *more)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["metrics.csv", "samples.jsonl"])
def test_damaged_line_is_reported_and_the_others_are_kept(
    run: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = (run / name).read_bytes().splitlines()
    lines[2] = DAMAGE[damage](lines[2])
    (run / name).write_bytes(b"".join(line + b"\n" for line in lines))
    with caplog.at_level(logging.WARNING, "gptkit"):
        steps = [int(row["step"]) for row in (read_rows(run / name) if name == "metrics.csv" else read_samples(run))]
    if name == "samples.jsonl" and damage in ("a column more", "text for a number"):
        return  # the change may leave the line valid
    assert sorted({1, 2, 3, 4} - set(steps)) == [2 if name == "metrics.csv" else 3]
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"{run / name}:3: " in message
    assert len(message) < 300 + len(str(run))


@pytest.mark.parametrize("content", [b"", b"\0\0\0\n", b"\xff\n", b"[]\n", b"[" * 100_000, b'{"tokens": 1e999, "val_loss": "x"}\n'])
def test_damaged_files_do_not_prevent_resuming(run: Path, resume: Callable[[Path], Any], content: bytes) -> None:
    for name in ("metrics.csv", "samples.jsonl", "summary.json", "environment.json"):
        (run / name).write_bytes(content)
    assert resume(run)["steps"] == 6
    assert read_metrics(run)["step"] == [5, 6]
    assert [sample["step"] for sample in read_samples(run)] == [4, 5, 6]  # the samples of the checkpoint's step are generated again
    assert json.loads((run / "summary.json").read_text())["steps"] == 6
    kept = [path.read_bytes() for path in run.glob("*.damaged")]
    assert kept in ([], [content, content])  # only bytes that do not form a line are deleted


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_folder_in_place_of_a_file_is_moved_aside(
    run: Path, resume: Callable[[Path], Any], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["metrics.csv", "samples.jsonl", "summary.json", "environment.json", "report.html", "config.yaml"]
    for path in (run / name for name in names):
        path.unlink()
        {"folder": path.mkdir, "pipe": lambda path=path: os.mkfifo(path), "loop": lambda path=path: path.symlink_to(path)}[kind]()
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").touch()
    assert resume(run)["steps"] == 6
    for name in names:
        assert (run / name).is_file()
        assert os.path.lexists(run / f"{name}.damaged")
        assert f"{run / name}: is " in caplog.text
    assert (run / "tensorboard").is_dir()


def test_invalid_summary_entries_are_ignored(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = json.loads((run / "summary.json").read_text())
    wrong = {
        "steps": -1,
        "tokens": True,
        "val_loss": "low",
        "wall_seconds": 10**400,
        "finished": "yes",
        "<b>": [1],
        "parameters": {},
    }
    (run / "summary.json").write_text(json.dumps({**body, **wrong, "mfu": float("nan"), "val_x": 1e300}))
    summary = read_summary(run)
    assert not set(summary) & {*wrong, "mfu", "val_x"}
    assert summary["train_loss"] == body["train_loss"]
    assert "summary.json: 'parameters' has an invalid value; ignored it, and 8 more" in caplog.text
    write_report(run)


def test_intact_files_log_no_warning(run: Path, resume: Callable[[Path], Any], caplog: pytest.LogCaptureFixture) -> None:
    resume(run)
    assert caplog.text == ""
    assert [int(step) for step in read_metrics(run)["step"]] == [1, 2, 3, 4, 5, 6]


def test_report_does_not_wait_for_a_pipe(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / "figures").mkdir(exist_ok=True)
    os.mkfifo(run / "figures" / "pipe.svg")
    (run / "figures" / "folder.svg").mkdir()
    (run / "config.yaml").write_bytes(b"\xff")
    write_report(run)
    assert "pipe.svg: is a pipe, not a file" in caplog.text
    assert "folder.svg: is a folder" in caplog.text
