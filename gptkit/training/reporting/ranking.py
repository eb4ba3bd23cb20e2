"""Compare runs by the metric that they monitor, and format the entries of their summaries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from gptkit.training.reporting.summary import VALIDATION_LOSS, monitor_of

COLUMNS = ("train_loss", "tokens", "tokens_per_second", "wall_seconds")
"""Entries of the summaries that are shown of every run."""

_MAX_METRICS = 4
"""Further validation metrics that are shown."""

_HEADINGS = {
    VALIDATION_LOSS: "validation loss",
    "train_loss": "training loss",
    "tokens_per_second": "tokens per second",
    "wall_seconds": "time",
}


class HasResults(Protocol):
    """A run, or the job of a sweep."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """summary.json; empty if there is none."""

    @property
    def status(self) -> str:
        """finished, stopped, failed ..."""


Run = TypeVar("Run", bound=HasResults)


def common_monitor(runs: Sequence[HasResults]) -> tuple[str, str]:
    """Return the metric that all runs monitor, and its mode; the validation loss if they differ."""
    monitors = {monitor_of(run.summary) for run in runs if run.summary.get(VALIDATION_LOSS) is not None}
    return monitors.pop() if len(monitors) == 1 else (VALIDATION_LOSS, "min")


def rank(runs: Sequence[Run]) -> list[Run]:
    """Sort runs by the monitored metric, best first; runs that failed or have no value come last. Ties keep their order."""
    metric, mode = common_monitor(runs)
    sign = 1 if mode == "min" else -1

    def sort_key(run: Run) -> float:
        value = run.summary.get(metric)
        return math.inf if value is None or run.status == "failed" else sign * value

    return sorted(runs, key=sort_key)


def best_of(ranked: Sequence[Run]) -> list[Run]:
    """Return the best run, and those whose displayed value is the same. Empty if no run has a value."""
    metric, _ = common_monitor(ranked)
    candidates = [run for run in ranked if run.status != "failed"]
    best = format_value(metric, candidates[0].summary.get(metric)) if candidates else ""
    return [run for run in candidates if best and format_value(metric, run.summary.get(metric)) == best]


def summary_columns(runs: Sequence[HasResults]) -> list[str]:
    """Return the entries of the summaries to show: the monitored metric first, then a few other validation metrics."""
    names = [name for name in dict.fromkeys(name for run in runs for name in run.summary) if name.startswith("val_")]
    plain = [name for name in names if not name.endswith(("_low", "_high")) and "_by_" not in name]
    return list(dict.fromkeys([common_monitor(runs)[0], VALIDATION_LOSS, *plain[:_MAX_METRICS], *COLUMNS]))


def heading(column: str) -> str:
    """Names an entry of the summary for people."""
    return _HEADINGS.get(column, column.replace("val_", "validation ", 1).replace("_", " "))


def format_cell(column: str, summary: Mapping[str, object]) -> str:
    """Format an entry of a summary, with its interval if it has one."""
    low, high = (summary.get(f"{column}_{end}") for end in ("low", "high"))
    has_interval = isinstance(low, int | float) and isinstance(high, int | float)
    return format_value(column, summary.get(column)) + (f" ({low:.3f} to {high:.3f})" if has_interval else "")


def format_value(column: str, value: object) -> str:
    """Format an entry of a summary; empty if it is no number."""
    if not isinstance(value, (int, float)):
        return ""
    if column == "wall_seconds":
        return f"{value:,.1f} s" if value < 120 else f"{value / 60:,.1f} min"
    return f"{value:.4f}" if column.endswith("loss") or column not in COLUMNS else f"{value:,.0f}"
