"""Runs as they lie on the disk, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def write_run(
    folder: Path, *, lr: float = 1e-3, steps: int = 50, seed: int = 0, val_loss: float | None = None, **summary: Any
) -> Path:
    """Writes config.yaml, metrics.csv and summary.json of a finished run whose loss falls."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"model:\n  name: gpt\n  layers: 2\noptimizer:\n  name: adamw\n  lr: {lr}\nseed: {seed}\n")
    noise = np.random.default_rng(seed).normal(size=steps)
    rows = [
        "step,tokens,train/loss,val/loss,lr,grad_norm,tokens_per_second,wall_seconds,val/accuracy,val/accuracy_low,val/accuracy_high"
    ]
    for step in range(1, steps + 1):
        loss = 2 + 3 / (1 + step * lr * 30) + 0.05 * noise[step - 1]
        is_validation = step % max(1, steps // 5) == 0
        val = f"{loss + 0.1:.4f}" if is_validation else ""
        accuracy = "0.75,0.5,0.875" if is_validation else ",,"
        rows.append(f"{step},{step * 128},{loss:.5f},{val},{lr},{1 + abs(noise[step - 1]):.4f},5000.0,{step / 10},{accuracy}")
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    body = {"parameters": 1000, "tokens": steps * 128, "steps": steps, "train_loss": 2.5, "tokens_per_second": 5000.0}
    body |= {"val_loss": 2 + lr if val_loss is None else val_loss, "wall_seconds": steps / 10, "finished": True, "validated": True}
    (folder / "summary.json").write_text(json.dumps(body | summary))
    return folder
