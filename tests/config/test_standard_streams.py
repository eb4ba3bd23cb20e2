"""Output that nobody reads, or that cannot be written: no traceback, no "Exception ignored"."""

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
    opened: list[IO[str]] = []

    def stream(descriptor: int) -> IO[str]:
        opened.append(os.fdopen(descriptor, "w"))
        return opened[-1]

    yield stream
    for each in opened:
        each.close()  # raises where words are left that cannot be written


def closed_pipe() -> int:
    """The end of a pipe of which the reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_reader_that_left(
    words: list[str], open_stream: Callable[[int], IO[str]], gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", open_stream(closed_pipe()))
    outcome = gptkit_command(*words)
    assert outcome.status in (0, 1)
    assert outcome.err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", COMMANDS[:6], ids=" ".join)
def test_a_disk_that_is_full(
    words: list[str], open_stream: Callable[[int], IO[str]], gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", open_stream(os.open("/dev/full", os.O_WRONLY)))
    outcome = gptkit_command(*words)
    assert outcome.status == 1
    assert outcome.error_line == "gptkit: standard output: cannot be written (No space left on device)"


def test_an_error_that_nobody_reads(open_stream: Callable[[int], IO[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", open_stream(closed_pipe()))
    assert run_command_line(["trian"]) == 2


@pytest.mark.process
def test_streams_that_the_shell_closed_and_a_reader_that_left() -> None:
    script = (
        '"$0" -m gptkit plugins >&-; "$0" -m gptkit plugins 2>&-; "$0" -m gptkit train --info all | head -1; '
        '"$0" -m gptkit --help | head -0; "$0" -m gptkit trian 2>&-; "$0" -m gptkit plugins <&- >&- 2>&-; echo $?'
    )
    done = subprocess.run(["bash", "-c", script, sys.executable], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"
