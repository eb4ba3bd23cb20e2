"""A run with an adapter that is killed while it trains continues bit for bit."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from peft_fixtures import common
from safetensors.torch import load_file

from gptkit.training.reporting.metrics_csv import read_metrics

STEPS = 40


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gptkit", "train", *words, f"hydra.run.dir={folder}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_after_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    """Send SIGKILL as soon as the run has logged this step."""
    while process.poll() is None and max([0, *read_metrics(folder)["step"]]) < step:
        time.sleep(0.002)
    process.kill()
    output, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, output


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate()
    assert process.returncode == 0, output


def last_state(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the adapter and the moments of the optimizer after the last step."""
    checkpoint = folder / "checkpoints" / f"step-{STEPS:08}"
    moments = torch.load(checkpoint / "state.pt", weights_only=True)["optimizer"]["state"]
    flat = {f"{name}.{key}": value for name, entries in moments.items() for key, value in entries.items()}
    return {**load_file(checkpoint / "adapter.safetensors"), **flat}


def test_a_killed_run_continues_bit_for_bit(inputs: Path, base: Path, tmp_path: Path) -> None:
    words = ["objective=sft", "data=dialogues", f"data.path={inputs / 'chats.jsonl'}", f"init_from={base}", "adapter=lora"]
    words += ["adapter.rank=2", "adapter.dropout=0.1", *common(tmp_path)[:-1], "save.every=3", "val.every=0"]
    words = [word for word in words if not word.startswith("trainer.max_steps")]
    words += [f"trainer.max_steps={STEPS}", "trainer.log_every_n_steps=1"]
    whole, killed = (start(tmp_path / name, *words) for name in ("whole", "killed"))
    kill_after_step(killed, tmp_path / "killed", 10)
    reached = max(int(path.name.removeprefix("step-")) for path in (tmp_path / "killed/checkpoints").glob("step-*"))
    assert 3 <= reached < STEPS
    finish(start(tmp_path / "killed", *words))
    finish(whole)
    one, other = last_state(tmp_path / "whole"), last_state(tmp_path / "killed")
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
