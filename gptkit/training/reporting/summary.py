"""summary.json: the figures of a run that a sweep compares and a colleague asks for first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptkit.atomic_io import write_file
from gptkit.training.reporting.fault_tolerance import is_count, is_number, read_object, valid_entries

FILE = "summary.json"

VALIDATION_LOSS = "val_loss"

SECONDS_PREFIX = "seconds_"
"""The names of what a step of reinforcement spends its time on begin so."""


def write_summary(
    folder: Path,
    *,
    parameters: int,
    tokens: int,
    steps: int,
    train_loss: float | None,
    val_loss: float | None,
    tokens_per_second: float | None,
    mfu: float | None,
    wall_seconds: float,
    peak_memory_bytes: int,
    finished: bool,
    monitor: str = VALIDATION_LOSS,
    monitor_mode: str = "min",
    extra: Mapping[str, float] | None = None,
) -> None:
    """Write summary.json at once, whole.

    Args:
        folder: the run folder.
        parameters: trained parameters of model and objective.
        tokens: tokens read, over all devices.
        steps: optimizer steps done.
        train_loss: of the last step, in nats per token for `lm`.
        val_loss: the latest, in nats per token for `lm`; no number is written as null, and `validated` tells it from none.
        tokens_per_second: in steady state, over all devices.
        mfu: share of the devices' peak that the model's operations use, 0 to 1.
        wall_seconds: spent on the run in all, over all continuations.
        peak_memory_bytes: of the device, or of the process on a processor.
        finished: whether the run reached its end.
        monitor: the name in this file of what a sweep compares.
        monitor_mode: "min" or "max": whether a lower or a higher value of it is better.
        extra: what the objective measured, under names of its own.
    """
    body: dict[str, Any] = {
        "parameters": parameters,
        "tokens": tokens,
        "steps": steps,
        "train_loss": train_loss,
        "val_loss": val_loss,
        "tokens_per_second": tokens_per_second,
        "mfu": mfu,
        "wall_seconds": wall_seconds,
        "peak_memory_bytes": peak_memory_bytes,
        "finished": finished,
        "validated": val_loss is not None,
        "compared_by": monitor,
        "compared_mode": monitor_mode,
    }
    body.update({name: value for name, value in (extra or {}).items() if name not in body})
    text = json.dumps({name: _json_number(value) for name, value in body.items()}, indent=1, allow_nan=False)
    write_file(folder / FILE, text + "\n")


def read_summary(folder: Path) -> dict[str, Any]:
    """The content of a run's summary.json; empty where there is none that can be read.

    A damaged file, or an entry that is not of its kind, is left out with a warning.
    """
    return valid_entries(folder / FILE, read_object(folder / FILE), _fits)


def _fits(name: str, value: Any) -> bool:
    if name == "compared_by":
        return isinstance(value, str)
    if name == "compared_mode":
        return value in ("min", "max")
    if name in ("finished", "validated"):
        return isinstance(value, bool)
    if name in ("parameters", "tokens", "steps", "peak_memory_bytes"):
        return is_count(value)
    if name == "wall_seconds" or (name.startswith(SECONDS_PREFIX) and value is not None):
        return is_number(value) and value >= 0
    if isinstance(value, str):  # of another verb, in words of its own
        return not name.startswith(("val_", SECONDS_PREFIX)) and name not in ("train_loss", "tokens_per_second", "mfu")
    return value is None or is_number(value)


def monitor_of(summary: Mapping[str, Any]) -> tuple[str, str]:
    """The name of the summary's entry that a sweep compares the run by, and its mode, "min" or "max"."""
    name = summary.get("compared_by")
    if not isinstance(name, str) or not is_number(summary.get(name)):
        return VALIDATION_LOSS, "min"
    mode = summary.get("compared_mode")
    return name, mode if isinstance(mode, str) else "min" if name == VALIDATION_LOSS else "max"


def value_to_minimize(summary: Mapping[str, Any]) -> float:
    """The value that a sweeper minimises: the validation loss, or another monitored metric, negated if higher is better.

    A loss that is no number, or was not measured before the run ended, is infinite; that of a run that holds nothing out is the
    training loss.
    """
    name, mode = monitor_of(summary)
    value = summary.get(name)
    if value is None:
        loss = summary.get("train_loss") if summary.get("finished") and not summary.get("validated") else None
        return math.inf if loss is None else float(loss)
    return float(value) if mode == "min" else -float(value)


def _json_number(value: Any) -> Any:
    """JSON has no NaN and no infinity: a loss that is no number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
