"""Processes that are forked from a server which has imported gptkit, because importing torch and Lightning takes seconds.

They are processes like any other: they have their own environment, folder, session and output, and signals end them. A library that
reads an environment variable when it is imported (OMP_NUM_THREADS, HF_ENDPOINT) has read the one of the server.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class ForkedProcess:
    """A running process, with the interface of `subprocess.Popen`; its output is in files."""

    def __init__(self, process: Any, folder: Path) -> None:
        self._process, self._folder = process, folder
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or the negative number of the signal that ended the process; None while it runs."""
        status: int | None = self._process.exitcode
        return status

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s; it printed: {self.stderr}")
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @property
    def stdout(self) -> str:
        """What the process has written so far."""
        return (self._folder / "stdout").read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text(encoding="utf-8")


class ProcessServer:
    """Starts processes. `folder` is for their output."""

    def __init__(self, folder: Path) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.preloaded_modules"])
        self._folder = folder
        self._started: list[ForkedProcess] = []
        with _folder_and_environment(ROOT, {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "GPTKIT_PLUGINS": ""}):
            self.start(_nothing).wait()

    def start(
        self, function: Callable[..., None], *arguments: Any, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> ForkedProcess:
        """Call a function of a module in a new process, in the current folder and environment unless others are given."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        variables = dict(os.environ if env is None else env)
        process = self._context.Process(target=_run, args=(function, arguments, variables, cwd or Path.cwd(), folder))
        process.start()
        self._started.append(ForkedProcess(process, folder))
        return self._started[-1]

    def start_gptkit(self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> ForkedProcess:
        """Run `python -m gptkit <words>` in a new process."""
        return self.start(_run_gptkit, words, env=env, cwd=cwd)

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


@contextmanager
def _folder_and_environment(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    before, variables = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(variables)


def _run(function: Callable[..., None], arguments: tuple[Any, ...], variables: dict[str, str], current: Path, folder: Path) -> None:
    """Make the forked process look like a new one, then call the function."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(current)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(folder / name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    tempfile.tempdir = None
    try:
        function(*arguments)
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # the order in which Python ends; multiprocessing runs no exit handlers
        atexit._run_exitfuncs()


def _run_gptkit(words: tuple[str, ...]) -> None:
    from gptkit import __main__ as program
    from gptkit.config.main import main

    sys.argv = [str(program.__file__), *words]
    main()


def _nothing() -> None:
    """The first process waits until the server has imported everything."""
