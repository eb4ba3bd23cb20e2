"""Sweeps for real: each launcher and sweeper trains two tiny runs, and the comparison is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.sweep.jobs import jobs_in

WORDS = ("train", "-m", "data=text", "data.path=x.txt", "tokenizer=char", "+shrink=tiny", "trainer=cpu", "trainer.max_steps=2")


@pytest.fixture
def sweep(gptkit_command: Callable[..., Any], in_folder: Path) -> Callable[..., Any]:
    """`sweep(*words)` in an empty folder; gives what the command line did."""
    (in_folder / "x.txt").write_text("the quick brown fox jumps over 123 lazy dogs\n" * 100, encoding="utf-8")
    return lambda *words: gptkit_command(*WORDS, "hydra.sweep.dir=out", *words)


@pytest.mark.process
def test_processes_report_every_job_and_skip_what_is_finished(sweep: Callable[..., Any]) -> None:
    words = ("data.path=x.txt,absent.txt", "hydra.launcher.n_jobs=2")
    first = sweep(*words)
    assert first.status == 1
    assert [job.status for job in jobs_in(Path("out"))] == ["finished", "failed"]
    assert jobs_in(Path("out"))[1].error.startswith("data.path=absent.txt")
    assert 'href="0/report.html"' in Path("out/sweep.html").read_text()
    log = Path("out/0/log.txt").read_text()
    Path("absent.txt").write_text(Path("x.txt").read_text())
    assert sweep(*words).status == 0
    assert [job.status for job in jobs_in(Path("out"))] == ["finished", "finished"]
    assert Path("out/0/log.txt").read_text() == log


def test_joblib(sweep: Callable[..., Any]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install gptkit[sweeps]")
    done = sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "seed=1,2")
    assert done.status == 0, done.err
    assert [job.status for job in jobs_in(Path("out"))] == ["finished", "finished"]
    assert "val_loss" in done.out
    assert Path("out/sweep.html").is_file()


def test_slurm_composes(gptkit_command: Callable[..., Any]) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install gptkit[sweeps]")
    shown = gptkit_command(
        "train", "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "--cfg", "hydra", "-p", "hydra.launcher"
    )
    assert shown.status == 0, shown.err
    assert "SlurmLauncher" in shown.out
    assert "partition: gpu" in shown.out
    assert "gpus_per_node: 1" in shown.out
