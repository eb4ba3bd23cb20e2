"""The results of an evaluation as a table, and as the content of results.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gptkit.evaluation.intervals import Metric


def results_content(
    metrics: Mapping[str, Metric], *, chance: Mapping[str, float], items: int, requests: int, truncated: int
) -> dict[str, Any]:
    """Return the results as plain JSON values. Numbers that are not finite become null."""
    return {
        "metrics": {name: {key: _finite(value) for key, value in asdict(metric).items()} for name, metric in metrics.items()},
        "chance": {name: _finite(value) for name, value in chance.items()},
        "items": items,
        "requests": requests,
        "truncated_requests": truncated,
    }


def results_table(metrics: Mapping[str, Metric], items: int | None) -> str:
    """Return one line per metric with its value; with intervals if there are items.

    Args:
        metrics: the metrics, in order.
        items: the number of items; None for a comparison of two models.
    """
    if items is None:
        return _aligned([[name, format_value(metric.value)] for name, metric in metrics.items()])
    rows = [["metric", "value", "95% interval", "items"]]
    for name, metric in metrics.items():
        has_interval = metric.low is not None and metric.high is not None
        interval = f"{_number(metric.low)} to {_number(metric.high)}" if has_interval else "-"
        rows.append([name, format_value(metric.value), interval, f"{items:,}"])
    return _aligned(rows)


def format_value(value: float) -> str:
    """Format counts as integers, and other values with four decimals, or with one if they are large."""
    return f"{value:,.0f}" if math.isfinite(value) and value == int(value) and abs(value) >= 2 else _number(value)


def _number(value: float | None) -> str:
    assert value is not None
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
