"""`gptkit report` compares any runs, named as a shell does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.command_line import GptkitCommand
from tests.training.reporting.sample_runs import write_run


@pytest.fixture
def runs(in_folder: Path) -> Path:
    write_run(in_folder / "runs" / "slow", lr=1e-3)
    write_run(in_folder / "runs" / "fast", lr=0.0031234567, val_loss=1.5)
    return in_folder / "runs"


def test_runs_are_named_by_plain_words(gptkit_command: GptkitCommand, runs: Path) -> None:
    (runs / "notes.txt").write_text("a shell's runs/* names it, too")
    done = gptkit_command("report", "runs/fast", "runs/notes.txt", "runs/slow")
    assert done.status == 0, done.err
    assert done.err.splitlines() == ["gptkit: runs/notes.txt is no folder; it is skipped", "The comparison is comparison.html"]
    heading, first, second = done.out.splitlines()
    assert heading.split()[:3] == ["run", "optimizer.lr", "val_loss"]
    assert first.split()[:3] == ["fast", "0.003123", "1.5000"]
    assert second.split()[:3] == ["slow", "0.001", "2.0010"]
    page = Path("comparison.html").read_text(encoding="utf-8")
    assert "best validation loss, fast" in page
    assert 'href="runs/fast/metrics.csv"' in page
    assert "Validation loss against optimizer.lr" in page
    assert 'title="0.0031234567"' in page


def test_every_run_is_one_line_in_a_pipe(gptkit_command: GptkitCommand, runs: Path) -> None:
    for name in ("slow", "fast"):
        summary = json.loads((runs / name / "summary.json").read_text())
        long = {f"val_a_metric_with_a_long_name_{number}": 0.5 for number in range(4)}
        (runs / name / "summary.json").write_text(json.dumps(summary | long))
    (runs / "slow" / "config.yaml").write_text(f"model: {'a long word ' * 30}[")
    lines = gptkit_command("report", "runs").out.splitlines()
    assert len(lines) == 3
    assert "val_a_metric_with_a_long_name_2" in lines[0].split()
    assert not any(line.endswith(" ") for line in lines)


def test_loggers_and_profilers_are_not_compared(gptkit_command: GptkitCommand, runs: Path) -> None:
    config = yaml.safe_load((runs / "fast" / "config.yaml").read_text())
    changed = {"logger": {"csv": {"name": "csv"}}, "trainer": {"profiler": "simple"}}
    (runs / "fast" / "config.yaml").write_text(yaml.safe_dump(config | changed))
    assert gptkit_command("report", "runs").out.split()[:3] == ["run", "optimizer.lr", "val_loss"]
    page = Path("comparison.html").read_text(encoding="utf-8")
    assert "logger.csv.name" not in page
    assert "trainer.profiler" not in page


def test_the_other_ways_to_name_runs(gptkit_command: GptkitCommand, runs: Path) -> None:
    tables = [
        gptkit_command("report", *words).out.split("\n")[1:]
        for words in (["runs/fast", "runs/slow"], ["runs=[runs/fast,runs/slow]"], ["runs"], ["runs=runs"])
    ]
    assert tables[0][0].startswith("fast")
    assert all(table == tables[0] for table in tables)


def test_the_page_shows_every_key_that_differs_and_no_other(gptkit_command: GptkitCommand, runs: Path) -> None:
    config = (runs / "fast" / "config.yaml").read_text().replace("layers: 2", "layers: 4\n  width: 8").replace("seed: 0", "seed: 7")
    (runs / "fast" / "config.yaml").write_text(config)
    assert gptkit_command("report", "runs").status == 0
    page = Path("comparison.html").read_text(encoding="utf-8")
    section = page[page.index('id="differences"') : page.index('id="curves"')]
    headings = re.findall(r'<th scope="col">([^<]*)</th>', section)
    assert headings == ["run", "model.layers", "model.width", "optimizer.lr", "seed"]


def test_the_page_is_written_where_to_says(gptkit_command: GptkitCommand, runs: Path) -> None:
    done = gptkit_command("report", "runs/fast", "to=pages/fast.html")
    assert done.err == "The comparison is pages/fast.html\n"
    assert 'href="../runs/fast/metrics.csv"' in Path("pages/fast.html").read_text(encoding="utf-8")
    assert not Path("comparison.html").exists()
    refused = gptkit_command("report", "runs/fast", "to=pages")
    assert (refused.status, refused.error_line) == (
        2,
        "gptkit: to=pages is a folder; name a file, such as to=pages/comparison.html",
    )


@pytest.mark.parametrize("name", ["lr=1,seed=2", "it's", "a b", "${x}", "[x]", "語"])
def test_folders_with_special_characters(gptkit_command: GptkitCommand, in_folder: Path, name: str) -> None:
    write_run(in_folder / "runs" / name)
    write_run(in_folder / "runs" / "other")
    done = gptkit_command("report", f"runs/{name}", "runs/other")
    assert done.status == 0, done.err
    assert name in done.out


def test_a_folder_without_a_run_is_named(gptkit_command: GptkitCommand, runs: Path) -> None:
    Path("empty").mkdir()
    for word, message in {
        "empty": "runs: empty holds no run: there is no config.yaml, metrics.csv or summary.json in it",
        "runs/fat": "runs: there is no folder runs/fat. Did you mean runs/fast?",
    }.items():
        done = gptkit_command("report", "runs/slow", word)
        assert (done.status, done.error_line) == (2, f"gptkit: {message}")
    assert not Path("comparison.html").exists()
    both = gptkit_command("report", "runs/slow", "runs=runs/fast")
    assert both.status == 2
    assert "give runs=[...] or plain words, not both" in both.error_line
    assert gptkit_command("report").status == 2


def test_a_damaged_run_is_reported_and_the_others_are_compared(gptkit_command: GptkitCommand, runs: Path) -> None:
    (runs / "slow" / "metrics.csv").write_bytes(b"\xff\xfe\n")
    (runs / "slow" / "config.yaml").write_text("model: [")
    (runs / "slow" / "summary.json").write_text("{")
    done = gptkit_command("report", "runs/fast", "runs/slow")
    assert done.status == 0
    page = Path("comparison.html").read_text(encoding="utf-8")
    problems = page[page.index("Failed or damaged") :]
    for name in ("metrics.csv", "config.yaml", "summary.json"):
        assert f"runs/slow/{name}" in problems
    assert "best validation loss, fast" in page


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named_and_skipped(gptkit_command: GptkitCommand, runs: Path) -> None:
    (runs / "slow").chmod(0)
    try:
        done = gptkit_command("report", "runs/slow", "runs/fast")
    finally:
        (runs / "slow").chmod(0o755)
    assert done.status == 0
    assert done.err.splitlines()[0] == "gptkit: runs/slow cannot be read (Permission denied); it is skipped"


def test_a_failed_job_of_a_sweep_shows_its_whole_message(gptkit_command: GptkitCommand, runs: Path) -> None:
    message = "the reason " * 60
    (runs / "2").mkdir()
    job = {"number": 2, "overrides": [], "status": "failed", "error": message}
    (runs / "2" / "job.json").write_text(json.dumps(job))
    assert gptkit_command("report", "runs").status == 0
    assert f"failed: {message}" in Path("comparison.html").read_text(encoding="utf-8")


def test_the_help_page_shows_the_plain_words(gptkit_command: GptkitCommand) -> None:
    page = gptkit_command("report", "--help").out
    assert "usage: gptkit report [runs ...] [key=value ...] [flags]" in page
    assert re.search(r"to=comparison.html +str: the page to write", page)


@pytest.mark.process
def test_the_command_starts_fast_because_it_imports_no_torch(runs: Path) -> None:
    code = (
        "import sys; from gptkit.config.main import run_command_line as run; status = run(['report', 'runs']);"
        "print(status, {'torch', 'lightning'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.rstrip().endswith("\n0 set()")
