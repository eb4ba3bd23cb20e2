"""Two processes reach the weights of one with ddp, fsdp2 and tp, and each resumes from checkpoints of the others."""

from __future__ import annotations

import csv
import json
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

import gptkit
from gptkit.attention import DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig
from gptkit.training.strategies import apply_fsdp, split_layers
from tests.processes import ProcessServer

# a large eps: otherwise AdamW would turn gradients that are zero except for rounding (of key biases) into full steps
SHORT = ("batch.micro=2", "val.every=2", "trainer.max_steps=2", "model.layers=1", "optimizer.eps=1e-3")
STEADY = ("optimizer.schedule.shape=constant", "optimizer.schedule.warmup=0")
MIXED = ("trainer.precision=bf16-mixed", "batch.micro=1", *STEADY)
ALIGNMENT = (*SHORT, *STEADY, "tokenizer=bytes", "model.context=24", "batch.size=8", "val.sequences=4", "ema=0.5")
REINFORCEMENT = (
    *("data=prompts", "reward=rules", "reward.length=1", "reward.words=2", "reward.repetition=1", "reward.run=1"),
    *("objective.max_new_tokens=8", "objective.missing_end_of_text=null", "objective.minibatch=4", "objective.inner_epochs=2"),
)
PPO = ("objective=ppo", "objective.value_lr=0.002", "objective.whiten_rewards=true", "objective.kl_target=1")
PTX = ("objective.ptx_coef=2", "objective.ptx_ratio=2", "objective.ptx_data.name=text")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def train_all(jobs: list[tuple[Path, list[str]]]) -> None:
    rank_zero_only.rank = int(os.environ["RANK"])  # type: ignore[attr-defined]  # Lightning reads it when it is imported
    for folder, words in jobs:
        gptkit.run(gptkit.compose("train", [*words, "trainer.devices=2", f"hydra.run.dir={folder}"]))


def on_two_devices(server: ProcessServer, jobs: list[tuple[Path, list[str]]]) -> None:
    """Train all jobs in two processes, which are started once, as torchrun would."""
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    shared |= {"GROUP_RANK": "0", "OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "test"}
    variables = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    workers = [server.start(train_all, jobs, env=each) for each in variables]
    try:
        statuses = [worker.wait(timeout=400) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert statuses == [0, 0], [worker.stderr for worker in workers]


@pytest.fixture(scope="module")
def kinds(tiny_words: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the overrides of runs by the kind of training."""
    root = tmp_path_factory.mktemp("data")
    prompts, rankings = root / "prompts.jsonl", root / "rankings.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"count {n}:"}) + "\n" for n in range(40)), encoding="utf-8")
    answers = [(n, [f" {n}", " no", " x" * (n % 5 + 1)], [0, n % 2, 1]) for n in range(40)]
    rankings.write_text(
        "".join(json.dumps({"prompt": f"{n}?", "completions": texts, "ranks": ranks}) + "\n" for n, texts, ranks in answers),
        encoding="utf-8",
    )
    text = next(word for word in tiny_words if word.startswith("data.path="))
    common = [*tiny_words, *ALIGNMENT, *REINFORCEMENT, f"data.path={prompts}"]
    return {
        "text": [*tiny_words, *SHORT, "optimizer=muon", "ema=0.5"],
        "mixed": [*tiny_words, *SHORT, "optimizer=muon", *MIXED, "ema=0.5"],
        "ppo_ptx": [*common, *PPO, *PTX, f"+objective.ptx_{text}"],
        "grpo": [*common, "objective=grpo", "objective.group=2"],
        "reward": [*tiny_words, *ALIGNMENT, "objective=reward", "data=rankings", f"data.path={rankings}"],
    }


@pytest.fixture(scope="module")
def together(kinds: dict[str, list[str]], process_server: ProcessServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs on two devices."""
    root = tmp_path_factory.mktemp("together")
    sharded = "trainer.strategy=fsdp2"
    jobs = [(root / name, [*kinds["text"], f"trainer.strategy={name}", "logger=csv"]) for name in ("ddp", "fsdp2", "tp")]
    # the second run resumes the first
    jobs += [(root / "mixed", [*kinds["mixed"], sharded, f"trainer.max_steps={steps}"]) for steps in (3, 6)]
    jobs += [(root / name, [*kinds[name], "trainer.strategy=ddp"]) for name in ("ppo_ptx", "grpo", "reward")]
    on_two_devices(process_server, jobs)
    return root


def saved(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a run's newest checkpoint, of the model and the objective."""
    newest = max(folder.glob("checkpoints/step-*"))
    result: dict[str, Tensor] = {}
    for path in sorted(newest.rglob("*.safetensors")):
        result |= {f"{path.stem}.{name}": tensor for name, tensor in load_file(path).items()}
    return result


def assert_same(result: dict[str, Tensor], expected: dict[str, Tensor], what: str) -> None:
    assert result.keys() == expected.keys()
    for name, tensor in expected.items():
        assert result[name].dtype == torch.float32
        torch.testing.assert_close(result[name], tensor, rtol=0, atol=1e-6, msg=partial("{} {}: {}".format, what, name))


@pytest.mark.process
def test_two_devices_train_the_weights_of_one_device(
    train: Callable[..., Any], kinds: dict[str, list[str]], together: Path, tmp_path: Path
) -> None:
    alone = train(tmp_path / "alone", *kinds["text"])
    for strategy in ("ddp", "fsdp2", "tp"):
        assert_same(saved(together / strategy), saved(tmp_path / "alone"), strategy)
    # bf16-mixed with one sequence per pass: products have the same shapes on every device, so they round equally
    longer = train(tmp_path / "alone_mixed", *kinds["mixed"], "trainer.max_steps=6")
    assert_same(saved(together / "mixed"), saved(tmp_path / "alone_mixed"), "bf16-mixed")
    assert longer["val_loss"] < alone["val_loss"]


@pytest.mark.process
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "tp"])
def test_only_the_first_device_logs(together: Path, strategy: str) -> None:
    with (together / strategy / "csv" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["train/loss"]] == ["2"]
    assert [row["step"] for row in rows if row["val/loss"]] == ["2"]


@pytest.mark.process
@pytest.mark.parametrize("kind", ["ppo_ptx", "grpo", "reward"])
def test_two_devices_align_the_model_of_one_device(
    kind: str, train: Callable[..., Any], kinds: dict[str, list[str]], together: Path, tmp_path: Path
) -> None:
    """The run includes rollouts, whitening, an adaptive KL coefficient, the value network, pre-training text and the average."""
    alone = train(tmp_path, *kinds[kind])
    assert_same(saved(together / kind), saved(tmp_path), kind)
    result = json.loads((together / kind / "summary.json").read_text(encoding="utf-8"))
    names = ("score", "kl", "explained_variance", "accuracy", "clip_fraction", "approximate_kl", "entropy", "length")
    measured = [name for name in alone if name.startswith("val_") or name in names]
    assert {name: result[name] for name in measured} == pytest.approx({name: alone[name] for name in measured}, abs=1e-4)


def test_fsdp_mixed_precision_gathers_only_matrices_in_bfloat16() -> None:
    """Autocast then copies no weight except the head."""
    model = GPTConfig(layers=1, heads=2, width=8, context=4).build(attention=DenseAttentionConfig(), vocabulary=10)
    seen: dict[str, torch.dtype] = {}

    def look(name: str) -> Callable[..., None]:
        return lambda module, arguments: seen.update({name: module.weight.dtype})

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.LayerNorm | nn.Embedding):
            module.register_forward_pre_hook(look(name))
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        apply_fsdp(model, init_device_mesh("cpu", (1,)), "bf16-mixed")
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


def test_tensor_parallel_without_splittable_layers_is_rejected() -> None:
    class Mesh:
        def size(self) -> int:
            return 2

    with pytest.raises(ConfigError, match="cannot split Sequential"):
        split_layers(nn.Sequential(nn.Linear(4, 4)), Mesh())  # type: ignore[arg-type]
