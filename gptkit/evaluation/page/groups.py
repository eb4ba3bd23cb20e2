"""The main metric of each group of items on a page, such as the subjects of an exam."""

from __future__ import annotations

from gptkit.evaluation.page.content import TEMPLATES, Evaluation, Section
from gptkit.evaluation.report import format_value
from gptkit.page.html_page import fragment
from gptkit.page.whiskers import axis_for, draw_whisker


def groups_section(evaluation: Evaluation) -> Section | None:
    """Return the table of the groups; None if the task has none."""
    groups = evaluation.results.get("groups")
    if not groups:
        return None
    main = next(iter(evaluation.results["metrics"]))
    chance = evaluation.results.get("chance", {}).get(main)
    metrics = {name: part["metrics"].get(main, {}) for name, part in groups.items()}
    axis = axis_for(metric.get(key) for metric in metrics.values() for key in ("value", "low", "high"))
    rows = []
    for name, metric in metrics.items():
        value, low, high = (metric.get(key) for key in ("value", "low", "high"))
        interval = "" if low is None or high is None else f"{format_value(low)} to {format_value(high)}"
        label = "" if value is None else f"{name}: {main} {format_value(value)}{f', 95% interval {interval}' if interval else ''}"
        drawing = None if value is None else draw_whisker(axis, value, low, high, label=label, reference=chance)
        rows.append((name, "" if value is None else format_value(value), drawing, interval, f"{groups[name]['items']:,}"))
    return Section("Groups", fragment("groups.html", templates=TEMPLATES, rows=rows, main=main))
