"""The processes of jobs: a job may start several processes, and no job outlives a sweep that is killed."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gptkit.sweep.jobs import is_locked, read_jobs
from tests.command_line import GptkitCommand
from tests.processes import ProcessServer

WORDS = (
    "train",
    "-m",
    "data=text",
    "data.path=x.txt",
    "tokenizer=char",
    "+shrink=tiny",
    "trainer=cpu",
    "val.every=0",
    "save.every=50",
)
TEXT = "the quick brown fox jumps over 123 lazy dogs\n" * 100
SHORT, LONG = 20 * 4 * 32, 400 * 4 * 32


def wait_for(seen: Callable[[], object]) -> None:
    for _ in range(6000):
        if seen():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened for a minute")


def finished() -> set[Path]:
    """Return the folders of finished jobs."""
    return {job.folder for job in read_jobs(Path("out")) if job.status == "finished"}


@pytest.mark.process
def test_job_can_train_on_several_devices(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    Path("x.txt").write_text(TEXT, encoding="utf-8")
    pair = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.max_steps=2")
    done = gptkit_command(*WORDS, *pair, "seed=1", "optimizer.lr=1e-3", "hydra.sweep.dir=out")
    assert done.status == 0, done.err
    (job,) = read_jobs(Path("out"))
    assert job.status == "finished"
    assert "2 x cpu" in job.log.read_text()
    assert sorted(path.name for path in Path("out").iterdir()) == ["0", "multirun.yaml", "sweep.html"]  # workers start no sweep


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the jobs of a killed sweep run to their end")
def test_killed_sweep_ends_its_jobs_and_the_same_command_finishes_it(
    gptkit_command: GptkitCommand, process_server: ProcessServer, in_folder: Path
) -> None:
    """When the first job has finished, the second one trains."""
    Path("x.txt").write_text(TEXT, encoding="utf-8")
    words = (*WORDS, f"tokens={SHORT},{LONG}", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=out")
    sweep = process_server.start_gptkit(*words)
    wait_for(finished)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    wait_for(lambda: not any(is_locked(Path(f"out/{number}")) for number in range(2)))
    before = finished()
    assert len(before) == 1
    logs = {folder: (folder / "log.txt").read_text() for folder in before}

    done = gptkit_command(*words)
    assert done.status == 0, done.err
    assert len(finished()) == 2
    assert {folder: (folder / "log.txt").read_text() for folder in before} == logs
    tokens = [json.loads((folder / "summary.json").read_text())["tokens"] for folder in sorted(finished())]
    assert tokens == [SHORT, LONG]
