"""Run the jobs of a sweep as processes and watch them, however they end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gptkit.config.command_line import parse_command_line
from gptkit.config.hydra_run import restore_user_full_error
from gptkit.console import Console
from gptkit.errors import ConfigError, GptkitError
from gptkit.sweep.jobs import Job, lock
from gptkit.sweep.process import command, environment, shares, start
from gptkit.training.reporting.summary import value_to_minimize

_POLL_SECONDS = 0.1

_OF_THE_SWEEP = (
    *("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper", "hydra.sweep."),
    *("hydra.mode", "hydra.run.dir"),
)
"""What of Hydra's own settings says how a sweep is run, or is each job's own."""


class SweepStopped(GptkitError):
    """The sweep was interrupted; its jobs have saved."""

    exit_status = 130


def launch(
    config: DictConfig | None, loader: Any, job_overrides: Sequence[Sequence[str]], *, first: int, n_jobs: int
) -> list[JobReturn]:
    """Run every job, at most `n_jobs` at a time, but those that finished before; gives their results in order.

    Raises:
        ConfigError: `n_jobs` is not positive.
        SweepStopped: Ctrl-C or SIGTERM; the running jobs have been told to save, and have ended.
    """
    if n_jobs < 1:
        raise ConfigError(f"hydra.launcher.n_jobs={n_jobs} must be at least 1")
    assert config is not None
    setup_globals()
    words = parse_command_line(sys.argv[1:])
    flags = [flag for flag in words.flags if flag != "--multirun"]
    flags += [word for word in config.hydra.overrides.hydra if not word.lstrip("+~").startswith(_OF_THE_SWEEP)]
    jobs = [_job(config, loader, list(overrides), first + number) for number, overrides in enumerate(job_overrides)]
    try:
        with _sigterm_as_interrupt(), restore_user_full_error():
            _run_all(jobs, words.primary, flags, n_jobs)
    except KeyboardInterrupt:
        done = sum(job.status == "finished" for job in jobs)
        again = f"the same command with hydra.sweep.dir={config.hydra.sweep.dir} goes on"
        raise SweepStopped(f"the sweep was stopped after {done} of {len(jobs)} jobs; {again}") from None
    return [returned(job) for job in jobs]


def _numbered(sweep: Any) -> bool:
    """Whether jobs' folders are their numbers, by Hydra's settings of sweeps, as they are unless somebody says otherwise."""
    raw: Any = OmegaConf.to_container(sweep, resolve=False)
    return raw["subdir"] == "${hydra.job.num}" and "${" not in re.sub(r"\$\{now:[^}]*\}", "", str(raw["dir"]))


def _job(config: DictConfig, loader: Any, overrides: list[str], number: int) -> Job:
    words = tuple(word for word in overrides if not word.startswith("hydra."))
    if _numbered(config.hydra.sweep) and words == tuple(overrides):
        # composing takes a third of a second, in which no job runs
        return Job(number, words, Path(str(config.hydra.sweep.dir)) / str(number))
    composed = loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    return Job(number, words, Path(str(composed.hydra.sweep.dir)) / str(composed.hydra.sweep.subdir))


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there alone
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_all(jobs: list[Job], verb: str, flags: list[str], n_jobs: int) -> None:
    waiting = [job for job in jobs if not job.finished_before()]
    for job in waiting:
        job.begin("waiting")
    n_jobs = max(1, min(n_jobs, len(waiting)))
    places = shares(n_jobs, os.environ)
    running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("sweep", total=len(jobs))
        try:
            progress.update(bar, completed=len(jobs) - len(waiting))
            while waiting or running:
                for place in [place for place in range(n_jobs) if place not in running]:
                    if process := _start_next(waiting, verb, flags, places[place]):
                        running[place] = process
                for place, (job, child) in list(running.items()):
                    if child.poll() is not None:
                        del running[place]
                        job.end(child.returncode)
                progress.update(bar, completed=len(jobs) - len(waiting) - len(running))
                if waiting or running:
                    time.sleep(_POLL_SECONDS)
        finally:
            for _, child in running.values():  # only after an interrupt: let them save, all at once, then note how they ended
                child.terminate()
            for job, child in running.values():
                job.end(child.wait())


def _start_next(
    waiting: list[Job], verb: str, flags: list[str], share: dict[str, str]
) -> tuple[Job, subprocess.Popen[bytes]] | None:
    """Start the first job whose folder is free; a job of a killed sweep that still runs there is waited for."""
    for job in waiting:
        descriptor = lock(job.folder)
        if descriptor is None:
            continue
        waiting.remove(job)
        try:
            job.begin()
            return job, start(command(verb, flags, job), environment(os.environ, share), job, descriptor)
        finally:
            os.close(descriptor)  # the job has it now
    return None


class _Returned(JobReturn):
    """A job's result; its error is raised as it is, without Hydra's line before it."""

    @property
    def return_value(self) -> Any:
        if isinstance(self._return_value, GptkitError):
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def returned(job: Job) -> JobReturn:
    """What Hydra's sweepers are told of a job: its loss, or the error that they raise."""
    result = _Returned(list(job.overrides))
    if job.status == "finished" or job.out_of_time:
        result.status, result.return_value = JobStatus.COMPLETED, value_to_minimize(job.summary)
    else:
        result.status = JobStatus.FAILED
        kind = ConfigError if job.exit_status == ConfigError.exit_status else GptkitError
        result.return_value = kind(
            f"job {job.number} ({' '.join(job.overrides)}) {job.status}{job.error and ': '}{job.error}; see {job.log}"
        )
    return result
