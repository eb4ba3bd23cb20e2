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
from torch.distributed.device_mesh import init_device_mesh

from gptkit.attention import Dense
from gptkit.errors import ConfigError
from gptkit.model import GPT
from gptkit.training.strategies import shard, split_layers

PROGRAM = """
import sys
import gptkit
folder, *words = sys.argv[1:]
words, mixed = words[:-4], words[-4:]
def train(strategy, name, *more):
    job = [*words, f"trainer.strategy={strategy}", "trainer.devices=2", f"hydra.run.dir={folder}/{name}", *more]
    gptkit.run(gptkit.compose("train", job))
for strategy in ("ddp", "fsdp2", "tp"):
    train(strategy, strategy)
for steps in (3, 6):  # the second continues the first
    train("fsdp2", "mixed", *mixed, f"trainer.max_steps={steps}")
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
    mixed = ["trainer.precision=bf16-mixed", "batch.micro=1", "optimizer.schedule.shape=constant", "optimizer.schedule.warmup=0"]
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), *tiny_words, *words, *mixed],
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
    # bf16-mixed, one sequence at once: products have the same shapes on every device, and round alike
    longer = train(tmp_path / "alone_mixed", *words, *mixed, "trainer.max_steps=6")
    expected, found = weights(tmp_path / "alone_mixed"), weights(tmp_path / "mixed")
    for name, tensor in expected.items():
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6, msg=lambda text, n=name: f"bf16-mixed {n}: {text}")
    assert longer["val_loss"] < alone["val_loss"]


def test_mixed_precision_gathers_matrices_in_bfloat16_and_everything_else_in_float32() -> None:
    """Autocast then has nothing to copy, but for the head."""
    model = GPT(layers=1, heads=2, width=8, context=4).build(attention=Dense(), vocabulary=10)
    seen: dict[str, torch.dtype] = {}

    def look(name: str) -> Callable[..., None]:
        return lambda module, arguments: seen.update({name: module.weight.dtype})

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.LayerNorm | nn.Embedding):
            module.register_forward_pre_hook(look(name))
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        shard(model, init_device_mesh("cpu", (1,)), "bf16-mixed")
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.logits(model(torch.arange(4)[None])).float().logsumexp(-1).sum()
        loss.backward()
    finally:
        torch.distributed.destroy_process_group()
    matrices = {name for name, dtype in seen.items() if dtype == torch.bfloat16}
    assert matrices == {f"blocks.0.{name}" for name in ("attention.qkv", "attention.output", "mlp.input", "mlp.output")}
    assert set(seen) - matrices == {"wte", "wpe", "blocks.0.norm_1", "blocks.0.norm_2", "norm"}
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.dtype == parameter.grad.dtype == torch.float32


def test_a_model_without_layers_that_can_be_split_is_refused() -> None:
    class Mesh:
        def size(self) -> int:
            return 2

    with pytest.raises(ConfigError, match="cannot split Sequential"):
        split_layers(nn.Sequential(nn.Linear(4, 4)), Mesh())  # type: ignore[arg-type]
