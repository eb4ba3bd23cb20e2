"""The origin of a trained model: its run, the runs before it, and the model on the hub from which the first run started."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptkit.errors import CheckpointError
from gptkit.interop.model_card import Provenance, Stage, describe_data
from gptkit.training.checkpoints.checkpoint import Checkpoint
from gptkit.training.checkpoints.load import HUB, open_checkpoint
from gptkit.training.checkpoints.manifest import FOLDER
from gptkit.training.reporting.environment import read_environment
from gptkit.training.reporting.fault_tolerance import is_number
from gptkit.training.reporting.metrics_csv import FILE as METRICS
from gptkit.training.reporting.metrics_csv import read_rows
from gptkit.training.reporting.summary import SECONDS_PREFIX, read_summary

_PAPER = re.compile(r"\+\w+=[\w.]+")
"""A paper or another preset of a whole run, as typed. Words with `@`, dots or `/` in the key are settings."""

_RUN_ENTRIES = {"parameters", "tokens", "steps", "tokens_per_second", "mfu", "wall_seconds", "peak_memory_bytes"}
"""Entries of summary.json that describe the run, not the quality of the model."""


def provenance_of(checkpoint: Checkpoint) -> Provenance:
    """Return the origin of a checkpoint from its folder and those of earlier runs. Runs that no longer exist are left out."""
    run = checkpoint.folder.resolve().parent.parent
    belongs = checkpoint.folder.resolve().parent.name == FOLDER  # otherwise the checkpoint was copied out of its run
    environment = read_environment(run) if belongs else None
    summary = read_summary(run) if belongs else {}
    row = _row_of_step(run, checkpoint.step) if belongs else {}
    stages, base_model = _history(checkpoint)
    return Provenance(
        settings=checkpoint.content,
        step=checkpoint.step,
        last_step=summary.get("steps"),
        tokens=int(row["tokens"]) if "tokens" in row else None,
        metrics=_metrics(checkpoint, row, summary),
        stages=stages,
        base_model=base_model,
        papers=_papers(environment.command) if environment else (),
        device=f"{environment.devices} x {environment.device}, {environment.precision}" if environment else "",
        versions=environment.versions if environment else {},
    )


def _history(checkpoint: Checkpoint) -> tuple[list[Stage], str]:
    """Return the runs that led to a checkpoint, in order, and the model on the hub that the first one read, if any."""
    stages: list[Stage] = []
    seen: set[Path] = set()
    while checkpoint.folder.resolve() not in seen:
        seen.add(checkpoint.folder.resolve())
        content = checkpoint.content
        stages.insert(0, Stage(str(content["objective"]["name"]), describe_data(content["data"])))
        source = content.get("init_from")
        for name in (str(source or "").removeprefix(HUB), str(content["model"].get("path", ""))):
            if name in checkpoint.manifest.hub:
                return stages, name
        if not source or source.startswith(HUB):
            break
        try:
            checkpoint = open_checkpoint(source)
        except CheckpointError:
            break
    return stages, ""


def _row_of_step(run: Path, step: int) -> dict[str, float]:
    """Return the values that the run logged at a step, by column of metrics.csv."""
    rows = [row for row in read_rows(run / METRICS) if row["step"] == str(step)]
    return {name: float(text) for name, text in rows[-1].items() if text} if rows else {}


def _metrics(checkpoint: Checkpoint, row: Mapping[str, float], summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a checkpoint's weights. The summary describes only the last step of a run."""
    metrics = {} if checkpoint.val_loss is None else {"val_loss": checkpoint.val_loss}
    metrics |= {name.replace("/", "_"): value for name, value in row.items() if name.startswith("val/")}
    if checkpoint.step == summary.get("steps"):
        metrics |= {
            name: float(value)
            for name, value in summary.items()
            if is_number(value) and name not in _RUN_ENTRIES and not name.startswith(SECONDS_PREFIX)
        }
    return metrics


def _papers(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return [word for word in words if _PAPER.fullmatch(word)]
