"""Handles interruptions of a run: SIGTERM, Ctrl-C, and the failure of one of its processes.

On a signal the run finishes its step, saves and exits; a second Ctrl-C stops it at once. Lightning starts a process for each device
but the first. A process that fails writes its error into a shared folder, and the first process reports that error in one line
with the rank. The errors of the other processes (broken connections) are only consequences of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from gptkit.errors import GptkitError
from gptkit.training.strategies import is_first_process

FAILURE_FOLDER = "GPTKIT_RANK_REASONS"
"""Environment variable with the folder into which processes that Lightning started write their errors."""

POLL_SECONDS = 0.2
"""Seconds between checks of the other processes."""

GRACE_SECONDS = 10.0
"""Seconds that the other processes have to end by themselves after one has failed."""

CONNECTION_ERROR_WORDS = ("gloo", "nccl", "connection", "socket", "store", "process group", "timed out", "timeout")
"""Words in the messages of errors that follow from the end of another process."""


class WatchingLauncher(_SubprocessScriptLauncher):
    """Lightning's launcher of one process per device, which also reports why a process failed.

    When a process fails, Lightning's launcher kills the others without a message.
    """

    def launch(self, function: Callable[..., Any], *args: Any, trainer: lightning.Trainer | None = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if self.cluster_environment.creates_processes_externally:
            _set_num_threads_if_needed(num_processes=self.num_processes)
            return function(*args, **kwargs)
        with tempfile.TemporaryDirectory() as folder:
            os.environ[FAILURE_FOLDER] = folder
            self._call_children_scripts()
            ended = threading.Event()
            watch = threading.Thread(target=self._watch, args=(Path(folder), ended), daemon=True)
            watch.start()
            try:
                _set_num_threads_if_needed(num_processes=self.num_processes)
                return function(*args, **kwargs)
            except Exception as error:
                if not is_connection_error(error):
                    raise
                failure = self._describe_first_failure(Path(folder), wait=GRACE_SECONDS)
                raise GptkitError(failure or _describe_connection_error(error)) from error
            finally:
                ended.set()
                watch.join()
                os.environ.pop(FAILURE_FOLDER, None)
                if sys.exc_info()[0] is not None:
                    self._kill_others()

    def _watch(self, folder: Path, ended: threading.Event) -> None:
        """End this process if it still waits for a process that has failed."""
        while not ended.wait(POLL_SECONDS):
            if any(process.poll() for process in self.procs):
                if ended.wait(GRACE_SECONDS):
                    return
                print(f"gptkit: {self._describe_first_failure(folder, wait=0.0)}", file=sys.stderr, flush=True)
                self._kill_others()
                os._exit(1)

    def _describe_first_failure(self, folder: Path, *, wait: float) -> str:
        """Return the error of the process that failed first, or its exit status; empty if none fails within `wait` seconds."""
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and not any(process.poll() for process in self.procs):
            time.sleep(POLL_SECONDS)
        killed = [(rank, -process.returncode) for rank, process in self._failed() if process.returncode < 0]
        if killed:
            rank, number = killed[0]
            memory = "; the operating system does that when memory runs out" if number == signal.SIGKILL else ""
            return f"rank {rank} was killed ({signal.Signals(number).name}{memory})"
        reports = sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime_ns)
        if reports:
            return reports[0].read_text(encoding="utf-8")
        return "".join(f"rank {rank} ended with status {process.returncode}" for rank, process in self._failed()[:1])

    def _failed(self) -> list[tuple[int, subprocess.Popen[bytes]]]:
        return [(rank, process) for rank, process in enumerate(self.procs, 1) if process.poll()]

    def _kill_others(self) -> None:
        for process in self.procs:
            if process.poll() is None:
                process.kill()
            process.wait()


def watch_ranks(trainer: lightning.Trainer) -> None:
    """Replace Lightning's launcher of processes by `WatchingLauncher`."""
    launcher = trainer.strategy.launcher
    if type(launcher) is _SubprocessScriptLauncher:
        trainer.strategy._launcher = WatchingLauncher(launcher.cluster_environment, launcher.num_processes, launcher.num_nodes)


@contextlib.contextmanager
def report_rank_failures(trainer: lightning.Trainer) -> Iterator[None]:
    """Context in which an error in one of several processes becomes one line that names its rank.

    Raises:
        GptkitError: an error of the first process, or of a process that Lightning has not started.
    """
    try:
        yield
    except Exception as error:
        if trainer.world_size == 1 or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        failure_folder = os.environ.get(FAILURE_FOLDER)
        if failure_folder is not None and not is_first_process():
            if not is_connection_error(error):
                with contextlib.suppress(OSError):  # the first process has ended and removed the folder
                    Path(failure_folder, str(trainer.global_rank)).write_text(
                        _describe_failure(trainer.global_rank, error), encoding="utf-8"
                    )
            raise SystemExit(getattr(error, "exit_status", 1)) from error
        if isinstance(error, GptkitError) and (is_first_process() or is_connection_error(error)):
            raise
        rank_error = GptkitError(_describe_failure(trainer.global_rank, error))
        rank_error.exit_status = getattr(error, "exit_status", 1)
        raise rank_error from error


def is_connection_error(error: Exception) -> bool:
    """Return whether an error is a broken connection, which follows from the end of another process."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return type(error) is RuntimeError and any(word in str(error).lower() for word in CONNECTION_ERROR_WORDS)


def _describe_failure(rank: int, error: Exception) -> str:
    return (
        f"rank {rank}: {error}" if isinstance(error, GptkitError) else f"rank {rank}: {type(error).__name__}: {_first_line(error)}"
    )


def _describe_connection_error(error: Exception) -> str:
    return f"the processes of this run cannot reach one another: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Remembers the signal that asked this process to stop."""

    signal: int = 0
    """The number of the signal; 0 if there was none."""

    def install(self) -> None:
        """Install the signal handlers. Lightning restores the previous handlers when training ends."""
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers only there
            for number in STOP_SIGNALS:
                signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
