"""If one of several processes fails, one line names it, and the others end."""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest
import torch

from gptkit.training.interruptions import is_connection_error
from tests.processes import ProcessServer

PROGRAM = """
import os, signal
from gptkit.config.main import main
from gptkit.training.module import TrainModule

step = TrainModule.training_step

def failing(self, batch, batch_idx):
    if self.global_rank == 1 and batch_idx == 2:
        exec(os.environ["IN_RANK_1"])
    return step(self, batch, batch_idx)

TrainModule.training_step = failing
main()
"""


def run_program(program: Path, words: list[str]) -> None:
    """Run the program as `python program.py <words>`. It starts the other process by the same command line."""
    sys.argv = [str(program), *words]
    runpy.run_path(str(program), run_name="__main__")


@pytest.mark.process
@pytest.mark.parametrize(
    ("in_rank_1", "message"),
    [
        ("raise KeyError('some bug')", "gptkit: rank 1: KeyError: 'some bug'"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "gptkit: rank 1 was killed (SIGKILL; the operating system does that when memory runs out)",
        ),
    ],
)
def test_failed_process_is_named_in_one_line(
    in_rank_1: str, message: str, tiny_words: list[str], process_server: ProcessServer, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    words = [*tiny_words, "trainer.strategy=ddp", "trainer.devices=2", "trainer.enable_progress_bar=false", "hydra.run.dir=run"]
    environment = {name: value for name, value in os.environ.items() if name not in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK")}
    environment |= {"IN_RANK_1": in_rank_1, "OMP_NUM_THREADS": "1"}
    process = process_server.start(run_program, program, ["train", *words], env=environment, cwd=tmp_path)
    try:
        assert process.wait(timeout=100) == 1
        _, *after = process.stderr.splitlines()  # the first line is the start line of the run
        assert after == [message]
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)  # no process is left
    finally:
        end_group(process.pid)


def end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def test_connection_errors_are_recognized() -> None:
    assert is_connection_error(RuntimeError("[../gloo/transport/tcp/pair.cc] Connection closed by peer [127.0.0.1]:1234"))
    assert is_connection_error(torch.distributed.DistNetworkError("the server socket has failed to listen"))
    assert not is_connection_error(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_connection_error(ValueError("connection"))
