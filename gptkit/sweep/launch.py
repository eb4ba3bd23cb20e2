"""Runs the jobs of a sweep as processes, a limited number at a time, and waits for all of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gptkit.atomic_io import interrupt_on_termination
from gptkit.config.command_line import parse_command_line
from gptkit.config.hydra_run import restore_user_full_error
from gptkit.errors import ConfigError, GptkitError
from gptkit.sweep.jobs import Job, lock_folder
from gptkit.sweep.process import divide_machine, job_command, job_environment, start_process
from gptkit.terminal import make_console
from gptkit.training.reporting.summary import value_to_minimize

_POLL_SECONDS = 0.1

_SWEEP_OVERRIDES = (
    *("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper", "hydra.sweep."),
    *("hydra.mode", "hydra.run.dir"),
)
"""Hydra settings that belong to the sweep or differ by job, and so are not passed on to the jobs."""


class SweepStopped(GptkitError):
    """The sweep was interrupted. Its jobs have saved checkpoints."""

    exit_status = 130


def run_sweep(
    config: DictConfig | None, loader: Any, job_overrides: Sequence[Sequence[str]], *, first: int, n_jobs: int
) -> list[JobReturn]:
    """Run every job that has not finished yet, at most `n_jobs` at a time, and return all results in order.

    Raises:
        ConfigError: `n_jobs` is not positive.
        SweepStopped: Ctrl-C or SIGTERM, after the running jobs have saved and ended.
    """
    if n_jobs < 1:
        raise ConfigError(f"hydra.launcher.n_jobs={n_jobs} must be at least 1")
    assert config is not None
    setup_globals()
    words = parse_command_line(sys.argv[1:])
    flags = [flag for flag in words.flags if flag != "--multirun"]
    flags += [word for word in config.hydra.overrides.hydra if not word.lstrip("+~").startswith(_SWEEP_OVERRIDES)]
    jobs = [_make_job(config, loader, list(overrides), first + number) for number, overrides in enumerate(job_overrides)]
    try:
        with interrupt_on_termination(), restore_user_full_error():
            _run_all(jobs, words.primary, flags, n_jobs)
    except KeyboardInterrupt:
        finished = sum(job.status == "finished" for job in jobs)
        resume = f"resume it with the same command and hydra.sweep.dir={config.hydra.sweep.dir}"
        raise SweepStopped(f"the sweep was stopped after {finished} of {len(jobs)} jobs; {resume}") from None
    return [job_result(job) for job in jobs]


def _folders_are_numbers(sweep: Any) -> bool:
    """Return whether the folders of jobs are named by their numbers, which is the default."""
    raw: Any = OmegaConf.to_container(sweep, resolve=False)
    return raw["subdir"] == "${hydra.job.num}" and "${" not in re.sub(r"\$\{now:[^}]*\}", "", str(raw["dir"]))


def _make_job(config: DictConfig, loader: Any, overrides: list[str], number: int) -> Job:
    words = tuple(word for word in overrides if not word.startswith("hydra."))
    if _folders_are_numbers(config.hydra.sweep) and words == tuple(overrides):
        # skips composing the configuration, which takes a third of a second per job
        return Job(number, words, Path(str(config.hydra.sweep.dir)) / str(number))
    composed = loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    return Job(number, words, Path(str(composed.hydra.sweep.dir)) / str(composed.hydra.sweep.subdir))


def _run_all(jobs: list[Job], verb: str, flags: list[str], n_jobs: int) -> None:
    waiting = [job for job in jobs if not job.reuse_finished_run()]
    for job in waiting:
        job.mark_started("waiting")
    n_jobs = max(1, min(n_jobs, len(waiting)))
    slots = divide_machine(n_jobs, os.environ)
    running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=make_console(stderr=True)) as progress:
        bar = progress.add_task("sweep", total=len(jobs))
        try:
            progress.update(bar, completed=len(jobs) - len(waiting))
            while waiting or running:
                for slot in [slot for slot in range(n_jobs) if slot not in running]:
                    if process := _start_next(waiting, verb, flags, slots[slot]):
                        running[slot] = process
                for slot, (job, child) in list(running.items()):
                    if child.poll() is not None:
                        del running[slot]
                        job.mark_ended(child.returncode)
                progress.update(bar, completed=len(jobs) - len(waiting) - len(running))
                if waiting or running:
                    time.sleep(_POLL_SECONDS)
        finally:
            for _, child in running.values():  # only after an interrupt; all jobs save at the same time
                child.terminate()
            for job, child in running.values():
                job.mark_ended(child.wait())


def _start_next(
    waiting: list[Job], verb: str, flags: list[str], share: dict[str, str]
) -> tuple[Job, subprocess.Popen[bytes]] | None:
    """Start the first job whose folder is not locked. If a job of a killed sweep still runs in a folder, that job waits for it."""
    for job in waiting:
        descriptor = lock_folder(job.folder)
        if descriptor is None:
            continue
        waiting.remove(job)
        try:
            job.mark_started()
            return job, start_process(job_command(verb, flags, job), job_environment(os.environ, share), job, descriptor)
        finally:
            os.close(descriptor)  # the job has inherited it
    return None


class _JobResult(JobReturn):
    """The result of a job. `return_value` raises its error unchanged, without the line that Hydra would print before it."""

    @property
    def return_value(self) -> Any:
        if isinstance(self._return_value, GptkitError):
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def job_result(job: Job) -> JobReturn:
    """Return the result of a job for Hydra's sweepers: the value to minimise, or the error to raise."""
    result = _JobResult(list(job.overrides))
    if job.status == "finished" or job.is_out_of_time:
        result.status, result.return_value = JobStatus.COMPLETED, value_to_minimize(job.summary)
    else:
        result.status = JobStatus.FAILED
        error_type = ConfigError if job.exit_status == ConfigError.exit_status else GptkitError
        result.return_value = error_type(
            f"job {job.number} ({' '.join(job.overrides)}) {job.status}{job.error and ': '}{job.error}; see {job.log}"
        )
    return result
