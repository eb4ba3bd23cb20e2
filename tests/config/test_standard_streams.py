"""Standard output that is closed or full gives neither a traceback nor "Exception ignored"."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from gptkit.config.main import run_command_line
from tests.command_line import GptkitCommand

COMMANDS = [
    ["--help"],
    ["train", "--help"],
    ["--version"],
    ["plugins"],
    ["plugins", "name=dense"],
    ["plan", "+gpt2=124m", "device=h100"],
    ["train", "--cfg", "job"],
    ["train", "--info", "all"],
    ["train", "--info", "defaults-tree"],
    ["-sc", "install"],
]


@pytest.fixture
def open_stream() -> Iterator[Callable[[int], IO[str]]]:
    streams: list[IO[str]] = []

    def open_descriptor(descriptor: int) -> IO[str]:
        streams.append(os.fdopen(descriptor, "w"))
        return streams[-1]

    yield open_descriptor
    for stream in streams:
        stream.close()  # raises if text is left that cannot be written


def closed_pipe() -> int:
    """Returns the writing end of a pipe whose reading end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_closed_pipe_is_ignored(
    words: list[str], open_stream: Callable[[int], IO[str]], gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", open_stream(closed_pipe()))
    outcome = gptkit_command(*words)
    assert outcome.status in (0, 1)
    assert outcome.err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", COMMANDS[:6], ids=" ".join)
def test_a_full_disk_is_one_line(
    words: list[str], open_stream: Callable[[int], IO[str]], gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", open_stream(os.open("/dev/full", os.O_WRONLY)))
    outcome = gptkit_command(*words)
    assert outcome.status == 1
    assert outcome.error_line == "gptkit: standard output: cannot be written (No space left on device)"


def test_the_exit_status_is_right_if_standard_error_is_closed(
    open_stream: Callable[[int], IO[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", open_stream(closed_pipe()))
    assert run_command_line(["trian"]) == 2


@pytest.mark.process
def test_real_processes_ignore_closed_streams_and_pipes() -> None:
    script = (
        '"$0" -m gptkit plugins >&-; "$0" -m gptkit plugins 2>&-; "$0" -m gptkit train --info all | head -1; '
        '"$0" -m gptkit --help | head -0; "$0" -m gptkit trian 2>&-; "$0" -m gptkit plugins <&- >&- 2>&-; echo $?'
    )
    done = subprocess.run(["bash", "-c", script, sys.executable], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"
