"""Alignment runs that were stopped or killed and then resumed end with the same weights as uninterrupted runs."""

from __future__ import annotations

import json
import math
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import gptkit
from gptkit.training.reporting.metrics_csv import read_metrics
from gptkit.training.reporting.summary import read_summary
from tests.processes import ProcessServer

TINY = (
    "tokenizer=bytes",
    "model.layers=2",
    "model.heads=2",
    "model.width=16",
    "model.context=32",
    "model.dropout=0.1",
    "batch.size=4",
    "batch.micro=2",
    "trainer.accelerator=cpu",
    "trainer.max_steps=6",
    "val.every=0",
    "val.sequences=4",
    "samples.prompts=[]",
    "optimizer.schedule.shape=constant",
    "optimizer.schedule.warmup=0",
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[str]]:
    """Return the overrides of an objective and its data."""
    dialogues, rankings, prompts = (tmp_path / f"{name}.jsonl" for name in ("dialogues", "rankings", "prompts"))
    prompts.write_text("".join(json.dumps({"prompt": f"count {n}:"}) + "\n" for n in range(40)), encoding="utf-8")
    dialogues.write_text(
        "".join(json.dumps({"prompt": f"{n}+1?", "completion": f" {n + 1}" * (n % 4 + 1)}) + "\n" for n in range(40)),
        encoding="utf-8",
    )
    rankings.write_text(
        "".join(
            json.dumps({"prompt": f"{n}?", "completions": [f" {n}", " no", " x" * (n % 5 + 1)], "ranks": [0, n % 2, 1]}) + "\n"
            for n in range(40)
        ),
        encoding="utf-8",
    )
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{n} bottles, {n * n % 97} glasses\n" for n in range(300)), encoding="utf-8")
    sft = ["objective=sft", "data=dialogues", f"data.path={dialogues}"]
    return {
        "sft": sft,
        "judged_sft": [
            *(*sft, "val.every=2", "reward=rules", "reward.length=1", "reward.words=2", "objective.max_new_tokens=8"),
            *("objective.pretraining=0.25", "objective.pretraining_data.name=text", f"+objective.pretraining_data.path={text}"),
        ],
        "reward": ["objective=reward", "data=rankings", f"data.path={rankings}"],
        "ppo": [
            *("objective=ppo", "data=prompts", f"data.path={prompts}", "ema=0.9", "objective.kl_target=1", "objective.minibatch=2"),
            *("reward=rules", "reward.length=1", "reward.words=2", "objective.max_new_tokens=16"),
            *("objective.ptx_coef=1", "objective.ptx_data.name=text", f"+objective.ptx_data.path={text}", "objective.ptx_ratio=1"),
        ],
        "dpo": ["objective=dpo", "data=rankings", f"data.path={rankings}"],
    }


def run(folder: Path, *words: str) -> Any:
    return gptkit.run(gptkit.compose("train", [*TINY, *words, f"hydra.run.dir={folder}"]))


def run_in_process(server: ProcessServer, folder: Path, *words: str) -> dict[str, Any]:
    """Train in a separate process, as the killed run does: MKL's mode and the number of threads belong to a process."""
    process = server.start_gptkit("train", *TINY, *words, f"hydra.run.dir={folder}")
    assert process.wait() == 0, process.stderr
    return read_summary(folder)


def run_and_kill(server: ProcessServer, folder: Path, words: list[str], *, step: int, seconds: float) -> None:
    """Train in a process and send it SIGKILL some seconds after it has logged this step or a later one."""
    process = server.start_gptkit("train", *TINY, *words, f"hydra.run.dir={folder}")
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline and max([0, *read_metrics(folder)["step"]]) < step:
            time.sleep(0.002)
        time.sleep(seconds)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL, process.stderr


def saved(folder: Path) -> dict[str, torch.Tensor]:
    newest = max(folder.glob("checkpoints/step-*"))
    actual: dict[str, torch.Tensor] = {}
    for path in sorted(newest.rglob("*.safetensors")):
        actual |= {f"{path.relative_to(newest)}:{name}": tensor for name, tensor in load_file(path).items()}
    return actual


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.parametrize("objective", ["sft", "judged_sft", "reward", "dpo"])
def test_resumed_run_ends_bit_identically(objective: str, files: dict[str, list[str]], tmp_path: Path) -> None:
    words = files[objective]
    whole = run(tmp_path / "whole", *words)
    run(tmp_path / "stopped", *words, "trainer.max_steps=3")
    continued = run(tmp_path / "stopped", *words)
    assert continued["steps"] == 6
    assert math.isfinite(continued["val_loss"])
    assert continued["val_loss"] == whole["val_loss"]
    one, other = saved(tmp_path / "whole"), saved(tmp_path / "stopped")
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.parametrize(("objective", "steps"), [("judged_sft", 48), ("reward", 48), ("ppo", 12)])
def test_run_killed_at_any_moment_resumes_bit_identically(
    objective: str, steps: int, files: dict[str, list[str]], process_server: ProcessServer, tmp_path: Path
) -> None:
    """A step of PPO is mostly its rollout, so PPO is killed there; the other objectives may be killed while saving."""
    words = [*files[objective], f"trainer.max_steps={steps}", "save.every=3", "trainer.log_every_n_steps=1"]
    generator = random.Random(objective)
    step, seconds = generator.randrange(4, steps // 2), generator.uniform(0.0, 0.03)
    run_and_kill(process_server, tmp_path / "killed", words, step=step, seconds=seconds)
    reached = max(int(path.name.removeprefix("step-")) for path in (tmp_path / "killed").glob("checkpoints/step-*"))
    assert 3 <= reached < steps
    continued, whole = (run_in_process(process_server, tmp_path / name, *words) for name in ("killed", "whole"))
    assert continued["val_loss"] == whole["val_loss"]
    one, other = saved(tmp_path / "whole"), saved(tmp_path / "killed")
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
def test_run_on_rankings_writes_its_calibration_figure(files: dict[str, list[str]], tmp_path: Path) -> None:
    result = run(tmp_path / "run", *files["reward"])
    assert result["val_accuracy_low"] <= result["val_accuracy"] <= result["val_accuracy_high"]
    assert (tmp_path / "run" / "figures" / "Calibration.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
    assert "data:image/svg+xml;base64," in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
