"""A sweep that Ctrl-C stopped is finished by the same command."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gptkit.sweep.jobs import read_jobs
from tests.command_line import GptkitCommand

WORDS = (
    "train",
    "-m",
    "data=text",
    "data.path=x.txt",
    "tokenizer=char",
    "+shrink=tiny",
    "tokens=25600",
    "hydra.sweep.dir=out",
    "seed=0,1",
)
RARELY = ("save.every=20", "val.every=0", "hydra.launcher.n_jobs=2")
STEPS = 200


def wait_for(seen: Callable[[], object]) -> None:
    for _ in range(6000):
        if seen():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened for a minute")


def saved(number: int) -> int:
    """Return the step of the latest checkpoint of a job; 0 if it has none."""
    return max((int(path.name.removeprefix("step-")) for path in Path(f"out/{number}/checkpoints").glob("step-*")), default=0)


@pytest.mark.process
def test_stopped_sweep_is_finished_by_the_same_command(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    Path("x.txt").write_text("the quick brown fox jumps over 123 lazy dogs\n" * 100, encoding="utf-8")

    def interrupt() -> None:
        wait_for(lambda: saved(0) or saved(1))
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed = threading.Thread(target=interrupt)
    try:
        pressed.start()
        stopped = gptkit_command(*WORDS, *RARELY)
        pressed.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.status == 130
    done = [one.status for one in read_jobs(Path("out"))]
    assert "stopped" in done
    words = (
        f"gptkit: the sweep was stopped after {done.count('finished')} of 2 jobs; "
        "resume it with the same command and hydra.sweep.dir=out"
    )
    assert words in stopped.err
    assert f"{done.count('finished')} of 2" in Path("out/sweep.html").read_text()

    assert gptkit_command(*WORDS, *RARELY).status == 0
    assert [one.status for one in read_jobs(Path("out"))] == ["finished", "finished"]
    assert [saved(0), saved(1)] == [STEPS, STEPS]
