"""Runs on demonstrations and rankings that were stopped and continued end as those that were not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import gptkit

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
    """The words of an objective and its data."""
    dialogues, rankings = tmp_path / "dialogues.jsonl", tmp_path / "rankings.jsonl"
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
    return {
        "sft": ["objective=sft", "data=dialogues", f"data.path={dialogues}"],
        "reward": ["objective=reward", "data=rankings", f"data.path={rankings}"],
        "dpo": ["objective=dpo", "data=rankings", f"data.path={rankings}"],
    }


def run(folder: Path, *words: str) -> Any:
    return gptkit.run(gptkit.compose("train", [*TINY, *words, f"hydra.run.dir={folder}"]))


def saved(folder: Path) -> dict[str, torch.Tensor]:
    newest = max(folder.glob("checkpoints/step-*"))
    found = {}
    for path in sorted(newest.rglob("*.safetensors")):
        found |= {f"{path.relative_to(newest)}:{name}": tensor for name, tensor in load_file(path).items()}
    return found


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.parametrize("objective", ["sft", "reward", "dpo"])
def test_continued_it_ends_bit_for_bit(objective: str, files: dict[str, list[str]], tmp_path: Path) -> None:
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


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
def test_a_run_on_rankings_draws_its_calibration(files: dict[str, list[str]], tmp_path: Path) -> None:
    result = run(tmp_path / "run", *files["reward"])
    assert result["val_accuracy_low"] <= result["val_accuracy"] <= result["val_accuracy_high"]
    assert (tmp_path / "run" / "figures" / "Calibration.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
    assert "data:image/svg+xml;base64," in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
