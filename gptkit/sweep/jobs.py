"""One job of a sweep. Its status is stored in its folder and survives interruptions."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptkit.atomic_io import try_lock, wrap_os_errors, write_file
from gptkit.kit_files import DamagedFile, open_regular
from gptkit.training.reporting.fault_tolerance import is_count, read_object, warn_damaged
from gptkit.training.reporting.summary import read_summary

FILE = "job.json"
STATUSES = ("waiting", "running", "finished", "stopped", "failed")
_LOG_TAIL_BYTES = 1 << 16
"""Bytes at the end of a log in which its last line is searched."""
_LOCK_FILE = "job.lock"


@dataclass
class Job:
    """The overrides, folder and status of a job. `job.json` in the folder holds them for every launcher."""

    number: int
    overrides: tuple[str, ...]
    folder: Path
    status: str = "waiting"
    """waiting, running, finished, stopped (by a signal or trainer.max_time; the same sweep resumes it) or failed"""
    error: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    """summary.json of the run; empty if there is none yet."""
    has_other_overrides: bool = False
    """Whether the folder holds a run of an earlier sweep with other overrides, whose summary does not belong to this job."""
    is_out_of_time: bool = False
    """Whether trainer.max_time ended the process before the run was finished."""
    exit_status: int = 0
    """The exit status of the process after its end."""

    @property
    def log(self) -> Path:
        """The file with the output of the job's process, if it runs in a separate process."""
        return self.folder / "log.txt"

    def reuse_finished_run(self) -> bool:
        """Adopt the results of a finished run with the same overrides, if the folder holds one. Returns whether it does."""
        earlier = read_job(self.folder)
        if earlier is None or earlier.overrides != self.overrides or earlier.status != "finished":
            return False
        self.status, self.summary = "finished", earlier.summary
        self._write()  # job.json now belongs to this sweep
        return True

    def mark_started(self, status: str = "running") -> None:
        """Record that the job waits or runs. Creates the folder if necessary."""
        earlier = read_job(self.folder)
        self.has_other_overrides = earlier is not None and (earlier.has_other_overrides or earlier.overrides != self.overrides)
        self.status, self.error = status, ""
        self._write()

    def mark_ended(self, exit_status: int) -> None:
        """Record how the process ended."""
        self.exit_status = exit_status
        self.has_other_overrides = self.has_other_overrides and exit_status != 0  # the run was resumed with these overrides
        self.summary = _read_own_summary(self.folder, self.has_other_overrides)
        if exit_status == 0:
            self.is_out_of_time = self.summary.get("finished") is False  # only `train` writes this entry
            self.status = "stopped" if self.is_out_of_time else "finished"
        elif exit_status in (-2, -15, 130, 143):  # SIGINT and SIGTERM, by Popen's convention and by the shell's
            self.status = "stopped"
        elif exit_status < 0:
            self.status, self.error = "failed", f"killed by signal {-exit_status}"
        else:
            self.status = "failed"
            self.error = _last_log_line(self.log).removeprefix("gptkit: ") or f"exit status {exit_status}"
            # the sweep's folder holds the run folder of the job
            self.error = self.error.replace("another hydra.run.dir", "another hydra.sweep.dir")
        self._write()

    def mark_failed(self, error: str) -> None:
        """Record an error that was raised in this process."""
        self.summary = _read_own_summary(self.folder, self.has_other_overrides)
        self.status, self.error = "failed", error
        self._write()

    def _write(self) -> None:
        with wrap_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        body = {"number": self.number, "overrides": self.overrides, "status": self.status, "error": self.error}
        body |= {"foreign": self.has_other_overrides}
        write_file(self.folder / FILE, json.dumps(body, indent=1) + "\n")


def read_job(folder: Path) -> Job | None:
    """Return the job of a folder; None if there is none, or, with a warning, if job.json is damaged."""
    path = folder / FILE
    body = read_object(path)
    if not body:
        return None
    if not _is_job_file(body):
        warn_damaged(path, "does not describe a job")
        return None
    status = body["status"]
    if status in ("waiting", "running"):  # the sweep that wrote this may have been killed
        status = "running" if is_locked(folder) else "stopped" if status == "running" else status
    has_other_overrides = bool(body.get("foreign"))
    summary = _read_own_summary(folder, has_other_overrides)
    return Job(body["number"], tuple(body["overrides"]), folder, status, body["error"], summary, has_other_overrides)


def _is_job_file(body: Mapping[str, Any]) -> bool:
    overrides = body.get("overrides")
    return (
        is_count(body.get("number"))
        and isinstance(overrides, list)
        and all(isinstance(word, str) for word in overrides)
        and body.get("status") in STATUSES
        and isinstance(body.get("error"), str)
    )


def find_job_files(sweep: Path) -> dict[Path, int]:
    """Return the job.json files below a sweep's folder, with their modification times in nanoseconds."""
    times = {}
    for folder, below, files in os.walk(sweep):
        if FILE in files:
            path = Path(folder, FILE)
            with contextlib.suppress(OSError):  # a dangling link
                times[path] = path.stat().st_mtime_ns
            below.clear()  # does not descend into a run's folder, which may change meanwhile
    return times


def read_jobs(sweep: Path, earlier: Mapping[Path, int] | None = None) -> list[Job]:
    """Return the jobs of a sweep's folder in order, without jobs of an earlier command, which are unchanged since `earlier`."""
    jobs = [read_job(path.parent) for path, time in find_job_files(sweep).items() if (earlier or {}).get(path) != time]
    return sorted((job for job in jobs if job is not None), key=lambda job: job.number)


def lock_folder(folder: Path) -> int | None:
    """Lock a job's folder and return the descriptor of the lock; None if another process holds it.

    The lock lasts until every process that has the descriptor has ended. A job's process inherits it, so its folder stays locked
    even if the launcher is killed.
    """
    with wrap_os_errors(folder / _LOCK_FILE):
        descriptor = os.open(folder / _LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK)
    if not try_lock(descriptor):
        os.close(descriptor)
        return None
    return descriptor


def is_locked(folder: Path) -> bool:
    """Return whether the process of a job holds the lock of the folder."""
    if not (folder / _LOCK_FILE).is_file():
        return False
    descriptor = lock_folder(folder)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _read_own_summary(folder: Path, has_other_overrides: bool) -> dict[str, Any]:
    return {} if has_other_overrides else read_summary(folder)


def _last_log_line(log: Path) -> str:
    """Return the last line that is not blank; empty if there is none."""
    try:
        with open_regular(log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL_BYTES))
            lines = file.read(_LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    except (OSError, DamagedFile):
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
