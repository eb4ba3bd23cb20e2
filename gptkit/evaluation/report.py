"""The results of an evaluation as a table, and as the content of results.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptkit.evaluation.calibration import Calibration
    from gptkit.evaluation.contamination import ItemOverlaps, Subset
    from gptkit.evaluation.intervals import Metric


def results_content(
    metrics: Mapping[str, Metric], *, chance: Mapping[str, float], items: int, requests: int, truncated: int
) -> dict[str, Any]:
    """Return the results as plain JSON values. Numbers that are not finite become null."""
    return {
        "metrics": plain_metrics(metrics),
        "chance": {name: finite(value) for name, value in chance.items()},
        "items": items,
        "requests": requests,
        "truncated_requests": truncated,
    }


def contamination_content(overlaps: ItemOverlaps, subsets: Mapping[str, Subset]) -> dict[str, Any]:
    """Return the metrics of clean and dirty items as plain JSON values."""
    return {
        "n": overlaps.n,
        "share": overlaps.share(),
        **subsets_content(subsets),
    }


def subsets_content(subsets: Mapping[str, Subset]) -> dict[str, Any]:
    """Return the metrics of parts of the items as plain JSON values."""
    return {name: {"items": subset.items, "metrics": plain_metrics(subset.metrics)} for name, subset in subsets.items()}


def calibration_content(result: Calibration) -> dict[str, Any]:
    """Return the calibration as plain JSON values."""
    return {
        "options": result.options,
        "metrics": plain_metrics(result.metrics),
        "bins": {name: [asdict(each) for each in bins] for name, bins in result.bins.items()},
    }


def overlap_line(overlaps: ItemOverlaps) -> str:
    """Return a line that says how much of the items occurs in the training text."""
    share = overlaps.share()
    if share is None:
        return f"no item has {overlaps.n} words, so none can be compared with the training text (N = {overlaps.n})"
    return f"{share:.1%} of the {overlaps.n}-grams of the items occur in the training text; an item with any of them is dirty"


def results_table(
    metrics: Mapping[str, Metric],
    items: int | None,
    subsets: Mapping[str, Subset] | None = None,
    groups: Mapping[str, Subset] | None = None,
) -> str:
    """Return one line per metric with its value; with intervals if there are items.

    Args:
        metrics: the metrics, in order.
        items: the number of items; None for a comparison of two models.
        subsets: parts of the items, which get a line below each metric.
        groups: parts of the items whose main metric gets a line at the end.
    """
    if items is None:
        return align_columns([[name, format_value(metric.value)] for name, metric in metrics.items()])
    has_draws = any(hasattr(metric, "standard_deviation") for metric in metrics.values())  # of `DrawMetric`
    rows = [["metric", "value", "95% interval", *["sd of draws"] * has_draws, "items"]]
    for name, metric in metrics.items():
        parts = {f"  {part}": (subset.metrics.get(name), subset.items) for part, subset in (subsets or {}).items()}
        for title, (value, count) in {name: (metric, items), **parts}.items():
            rows.append(_row(title, value, count, has_draws))
    main = next(iter(metrics))
    rows += [_row(f"  {part}", subset.metrics.get(main), subset.items, has_draws) for part, subset in (groups or {}).items()]
    return align_columns(rows)


def _row(name: str, metric: Metric | None, items: int, has_draws: bool) -> list[str]:
    deviation = [_deviation(metric)] * has_draws
    if metric is not None and metric.items is not None:
        items = metric.items
    if metric is None:
        return [name, "-", "-", *deviation, f"{items:,}"]
    return [name, format_value(metric.value), format_interval(metric), *deviation, f"{items:,}"]


def _deviation(metric: Metric | None) -> str:
    deviation: float | None = getattr(metric, "standard_deviation", None)
    return "-" if deviation is None else format_number(deviation)


def format_interval(metric: Metric) -> str:
    """Return the 95% interval of a metric as text; a dash if there is none."""
    return "-" if metric.low is None or metric.high is None else f"{format_number(metric.low)} to {format_number(metric.high)}"


def format_value(value: float) -> str:
    """Format counts as integers, and other values with four decimals, or with one if they are large."""
    return f"{value:,.0f}" if math.isfinite(value) and value == int(value) and abs(value) >= 2 else format_number(value)


def format_number(value: float) -> str:
    """Format a number with four decimals, with one if it is large, or with an exponent."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}" if abs(value) < 1e7 else f"{value:.3e}"


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return a table: columns are separated by two spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def plain_metrics(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Return metrics as plain JSON values, with a number of items only where it differs. Infinite numbers become null."""
    return {
        name: {key: finite(value) for key, value in asdict(metric).items() if key != "items" or value is not None}
        for name, metric in metrics.items()
    }


def finite(value: Any) -> Any:
    """Return a value, or None if it is a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
