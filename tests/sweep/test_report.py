"""The table and the page of a sweep are written for any overrides, and for damaged files of jobs."""

import json
import re
from pathlib import Path

import pytest

from gptkit.sweep.jobs import read_job, read_jobs
from gptkit.sweep.report import report_sweep

VALUES = [
    "[/red]",
    "[bold",
    "$",
    "$_{",
    r"\$x$",
    "_hidden",
    "<script>alert(1)</script>",
    "nan",
    "inf",
    "1e999",
    "1e-300",
    "x" * 5000,
]
VALUES += ["\x00\x1b[31m", "a\nb", "\u8a9e\U0001f600", "\ud800", "", " ", "&amp;", "{}", "%s", "1_0"]

SUMMARIES: list[object] = [
    {"val_loss": 1.0, "train_loss": 2.0, "tokens": 3, "wall_seconds": 1.0, "tokens_per_second": 5.0},
    {"val_loss": "low", "tokens": [1], "wall_seconds": {}, "train_loss": True},
    {"val_loss": float("nan"), "train_loss": float("inf"), "tokens": -1},
    {"val_loss": 10**400, "val_<b>x</b>": 1.0, "val_<b>x</b>_low": "a", "val_<b>x</b>_high": 2.0},
    {"val_loss": 1e99, "compared_by": "val_<b>x</b>", "val_$_{": 0.5},
    {"compared_by": ["val_loss"], "finished": "yes"},
    [1, 2],
    "text",
    None,
]


def write_job(folder: Path, number: int, word: str, summary: object) -> None:
    folder.mkdir(parents=True)
    body = {"number": number, "overrides": [f"k={word}", "common=1"], "status": "finished", "error": ""}
    (folder / "job.json").write_text(json.dumps(body))
    (folder / "summary.json").write_text(summary if isinstance(summary, str) else json.dumps(summary))
    rows = "".join(f"{step},{step * 10},{1 / step}\n" for step in range(1, 4))
    (folder / "metrics.csv").write_text(f"step,tokens,val/loss\n{rows}4,x,nan\n")


@pytest.mark.parametrize("word", VALUES, ids=lambda word: ascii(word)[:20])
def test_a_swept_value_is_text(tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = tmp_path / "[/red]$<i>"
    for number, other in enumerate((word, "1", "16")):
        write_job(sweep / str(number), number, other, {"val_loss": number + 1.0})
    report_sweep(sweep, {})
    page = (sweep / "sweep.html").read_text()
    assert "<script>alert" not in page
    assert "<i>" not in page
    assert "Validation loss against k" in page
    table = capsys.readouterr().out
    assert len(re.findall("finished", table)) == 3
    if word == "[/red]":
        assert "[/red]" in table


def test_a_summary_is_shown_as_far_as_it_is_one(tmp_path: Path) -> None:
    for number, summary in enumerate(SUMMARIES):
        write_job(tmp_path / str(number), number, str(number), summary)
    write_job(tmp_path / "deep", 20, "20", "[" * 100_000)
    write_job(tmp_path / "folder", 21, "21", "")
    (tmp_path / "folder" / "summary.json").unlink()
    (tmp_path / "folder" / "summary.json").mkdir()
    report_sweep(tmp_path, {})
    page = (tmp_path / "sweep.html").read_text()
    assert "<b>x</b>" not in page
    assert "best validation loss, job 0" in page
    assert len(read_jobs(tmp_path)) == len(SUMMARIES) + 2


@pytest.mark.parametrize(
    "note",
    [
        '{"number": "1", "overrides": [], "status": "failed", "error": ""}',
        '{"number": 1, "overrides": "k=1", "status": "failed", "error": ""}',
        '{"number": 1, "overrides": [1], "status": "failed", "error": ""}',
        '{"number": 1, "overrides": [], "status": ["failed"], "error": ""}',
        '{"number": 1, "overrides": [], "status": "failed", "error": 5}',
        "[" * 100_000,
        "",
    ],
    ids=lambda note: note[:60],
)
def test_a_damaged_note_is_named_and_left_out(tmp_path: Path, note: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "job.json").write_text(note)
    assert read_job(tmp_path) is None
    assert f"{tmp_path / 'job.json'}: " in caplog.text
