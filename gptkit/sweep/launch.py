"""Run the jobs of a sweep as processes, watch them, and write the report however they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig, open_dict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gptkit.config.argv import read_words
from gptkit.errors import GptkitError
from gptkit.sweep.jobs import LOSS, Job, command, shares
from gptkit.sweep.report import print_table, write_page

_POLL_SECONDS = 0.1

_Running = tuple[Job, "subprocess.Popen[bytes]"]


def launch(
    config: DictConfig | None, loader: Any, job_overrides: Sequence[Sequence[str]], *, first: int, n_jobs: int
) -> list[JobReturn]:
    """Run every job, at most `n_jobs` at a time; gives their results in order.

    A job that fails is reported when all have ended. On Ctrl-C the running jobs are ended first, and the report is written still.

    Raises:
        GptkitError: `n_jobs` is not positive.
    """
    if n_jobs < 1:
        raise GptkitError(f"hydra.launcher.n_jobs={n_jobs} must be at least 1")
    assert config is not None
    setup_globals()
    words = read_words(sys.argv[1:])
    flags = [flag for flag in words.flags if flag not in ("-m", "--multirun")]
    jobs = [_job(config, loader, list(overrides), first + number) for number, overrides in enumerate(job_overrides)]
    sweep = Path(str(config.hydra.sweep.dir))
    try:
        _run_all(jobs, words.verb, flags, n_jobs)
    finally:
        print_table(jobs)
        page = write_page(sweep, jobs)
        Console(stderr=True, soft_wrap=True).print(f"The sweep's page is {page}", highlight=False)
    return [_returned(job) for job in jobs]


def _job(config: DictConfig, loader: Any, overrides: list[str], number: int) -> Job:
    composed = loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    folder = Path(str(composed.hydra.sweep.dir)) / str(composed.hydra.sweep.subdir)
    return Job(number, tuple(word for word in overrides if not word.startswith("hydra.")), folder)


def _run_all(jobs: list[Job], verb: str, flags: list[str], n_jobs: int) -> None:
    waiting, places = list(jobs), shares(n_jobs, os.environ)
    running: dict[int, _Running] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("sweep", total=len(jobs))
        try:
            while waiting or running:
                for place in [place for place in range(n_jobs) if place not in running]:
                    if started := _start_next(waiting, verb, flags, places[place]):
                        running[place] = started
                for place, (job, process) in list(running.items()):
                    if process.poll() is not None:
                        job.end(process.returncode)
                        del running[place]
                progress.update(bar, completed=sum(job.status in ("finished", "skipped", "failed") for job in jobs))
                if running:
                    time.sleep(_POLL_SECONDS)
        finally:
            for job, process in running.values():  # only after an interrupt: let them save, then note how they ended
                process.terminate()
                job.end(process.wait())


def _start_next(
    waiting: list[Job], verb: str, flags: list[str], share: dict[str, str]
) -> tuple[Job, subprocess.Popen[bytes]] | None:
    while waiting:
        job = waiting.pop(0)
        if job.finished_before():
            job.skip()
            continue
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "overrides.json").write_text(json.dumps(list(job.overrides)))
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                command(verb, flags, job), env={**os.environ, **share}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        job.status = "running"
        return job, process
    return None


def _returned(job: Job) -> JobReturn:
    result = JobReturn()
    result.overrides = list(job.overrides)
    if job.status in ("finished", "skipped"):
        result.status, result.return_value = JobStatus.COMPLETED, job.summary.get(LOSS)
    else:
        result.status = JobStatus.FAILED
        result.return_value = GptkitError(f"job {job.number} ({' '.join(job.overrides)}) failed: {job.error}; see {job.log}")
    return result
