"""Two processes give what one gives: replicated, sharded and split, and a checkpoint of any continues on any."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gptkit.errors import ConfigError
from gptkit.training.strategies import split_layers

PROGRAM = """
import sys
import gptkit
folder, *words = sys.argv[1:]
for strategy in ("ddp", "fsdp2", "tp"):
    job = [*words, f"trainer.strategy={strategy}", "trainer.devices=2", f"hydra.run.dir={folder}/{strategy}"]
    gptkit.run(gptkit.compose("train", job))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.process
def test_two_devices_train_the_weights_that_one_trains(
    train: Callable[..., Any], weights: Callable[[Path], dict[str, Tensor]], tiny_words: list[str], tmp_path: Path
) -> None:
    # a large eps: gradients that are zero but for rounding (of key biases) would be blown up to whole steps by AdamW
    words = ["batch.micro=2", "val.every=2", "trainer.max_steps=2", "model.layers=1", "optimizer=muon", "optimizer.eps=1e-3"]
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), *tiny_words, *words],
            env={
                **shared,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "GROUP_RANK": "0",
                "OMP_NUM_THREADS": "1",
                "TORCHELASTIC_RUN_ID": "test",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [worker.communicate(timeout=150)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0, 0], errors
    alone = train(tmp_path / "alone", *words)
    expected = weights(tmp_path / "alone")
    for strategy in ("ddp", "fsdp2", "tp"):
        found = weights(tmp_path / strategy)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(
                found[name], tensor, rtol=0, atol=1e-6, msg=lambda text, s=strategy, n=name: f"{s} {n}: {text}"
            )
    assert alone["val_loss"] is not None


def test_a_model_without_layers_that_can_be_split_is_refused() -> None:
    class Mesh:
        def size(self) -> int:
            return 2

    with pytest.raises(ConfigError, match="cannot split Sequential"):
        split_layers(nn.Sequential(nn.Linear(4, 4)), Mesh())  # type: ignore[arg-type]
