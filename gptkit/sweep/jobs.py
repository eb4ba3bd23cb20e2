"""One job of a sweep: its folder, how it went, and what is known of it after any interruption."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.kit_files import DamagedFile, open_regular
from gptkit.training.reporting.fault_tolerance import is_count, read_object, warn_damaged
from gptkit.training.reporting.summary import read_summary

FILE = "job.json"
STATUSES = ("waiting", "running", "finished", "stopped", "failed")
_END_OF_LOG = 1 << 16
"""Bytes in which the last line of a log is looked for."""
_LOCK = "job.lock"


@dataclass
class Job:
    """What is run, where it writes, and how it went. `job.json` in its folder holds it, whatever launcher runs it."""

    number: int
    overrides: tuple[str, ...]
    folder: Path
    status: str = "waiting"
    """waiting, running, finished, stopped (before its end, by a signal or trainer.max_time; the same sweep continues it), failed"""
    error: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the run says of itself so far; empty where it wrote nothing."""
    foreign: bool = False
    """Whether the folder holds the run of other words, of an earlier sweep: what it says is not this job's."""
    out_of_time: bool = False
    """Whether the process ended well before the run did, by trainer.max_time."""
    exit_status: int = 0
    """Of its process, where that has ended."""

    @property
    def log(self) -> Path:
        """Everything that the job's process prints, where it has one of its own."""
        return self.folder / "log.txt"

    def finished_before(self) -> bool:
        """Whether the folder holds the finished run of the same words; if so, its results are taken over."""
        earlier = read_job(self.folder)
        if earlier is None or earlier.overrides != self.overrides or earlier.status != "finished":
            return False
        self.status, self.summary = "finished", earlier.summary
        self._write()  # the note is now this sweep's
        return True

    def begin(self, status: str = "running") -> None:
        """Take note in the folder, made where there is none, that the job waits or runs."""
        earlier = read_job(self.folder)
        self.foreign = earlier is not None and (earlier.foreign or earlier.overrides != self.overrides)
        self.status, self.error = status, ""
        self._write()

    def end(self, exit_status: int) -> None:
        """Take note of how the process ended."""
        self.exit_status = exit_status
        self.foreign = self.foreign and exit_status != 0  # the run is continued under these words
        self.summary = _summary(self.folder, self.foreign)
        if exit_status == 0:
            self.out_of_time = self.summary.get("finished") is False  # verbs but train do not say
            self.status = "stopped" if self.out_of_time else "finished"
        elif exit_status in (-2, -15, 130, 143):  # SIGINT and SIGTERM, by Popen's convention and by the shell's
            self.status = "stopped"
        elif exit_status < 0:
            self.status, self.error = "failed", f"killed by signal {-exit_status}"
        else:
            self.status = "failed"
            self.error = _last_line(self.log).removeprefix("gptkit: ") or f"exit status {exit_status}"
            self.error = self.error.replace("another hydra.run.dir", "another hydra.sweep.dir")  # which a job's own lies in
        self._write()

    def fail(self, error: str) -> None:
        """Take note of an error that was raised in this process."""
        self.summary = _summary(self.folder, self.foreign)
        self.status, self.error = "failed", error
        self._write()

    def _write(self) -> None:
        with wrap_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        body = {"number": self.number, "overrides": self.overrides, "status": self.status, "error": self.error}
        body |= {"foreign": self.foreign}
        write_file(self.folder / FILE, json.dumps(body, indent=1) + "\n")


def read_job(folder: Path) -> Job | None:
    """The job that a folder holds; None where there is none that can be read, with a warning where its note is damaged."""
    path = folder / FILE
    body = read_object(path)
    if not body:
        return None
    if not _is_note(body):
        warn_damaged(path, "is not the note of a job")
        return None
    status = body["status"]
    if status in ("waiting", "running"):  # by a note that is as old as its sweep, which may have been killed
        status = "running" if is_held(folder) else "stopped" if status == "running" else status
    foreign = bool(body.get("foreign"))
    return Job(body["number"], tuple(body["overrides"]), folder, status, body["error"], _summary(folder, foreign), foreign)


def _is_note(body: Mapping[str, Any]) -> bool:
    overrides = body.get("overrides")
    return (
        is_count(body.get("number"))
        and isinstance(overrides, list)
        and all(isinstance(word, str) for word in overrides)
        and body.get("status") in STATUSES
        and isinstance(body.get("error"), str)
    )


def notes_in(sweep: Path) -> dict[Path, int]:
    """The notes that the jobs of a sweep's folder have left, and when each was written."""
    found = {}
    for folder, below, files in os.walk(sweep):
        if FILE in files:
            path = Path(folder, FILE)
            with contextlib.suppress(OSError):  # a link to nothing
                found[path] = path.stat().st_mtime_ns
            below.clear()  # nothing of a run's own folder, which may change while the run goes on
    return found


def jobs_in(sweep: Path, earlier: Mapping[Path, int] | None = None) -> list[Job]:
    """The jobs of a sweep's folder in their order, without those whose notes are as `earlier`: of another command, that is."""
    found = [read_job(path.parent) for path, written in notes_in(sweep).items() if (earlier or {}).get(path) != written]
    return sorted((job for job in found if job is not None), key=lambda job: job.number)


def lock(folder: Path) -> int | None:
    """A descriptor that holds a job's folder until every process that has it is gone; None while another job holds it.

    A job inherits it, so that a sweep whose launcher was killed is recognised for as long as one of its jobs runs.
    """
    with wrap_os_errors(folder / _LOCK):
        descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:  # a file system that knows no locks: nobody can be told apart there
        pass
    return descriptor


def is_held(folder: Path) -> bool:
    """Whether a job's process has the folder."""
    if not (folder / _LOCK).is_file():
        return False
    descriptor = lock(folder)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _summary(folder: Path, foreign: bool) -> dict[str, Any]:
    return {} if foreign else read_summary(folder)


def _last_line(log: Path) -> str:
    """The last line with anything in it; empty where there is none, or no log."""
    try:
        with open_regular(log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _END_OF_LOG))
            lines = file.read(_END_OF_LOG).decode("utf-8", "replace").splitlines()
    except (OSError, DamagedFile):
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
