"""The comparison of two results as a table, and as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gptkit.evaluation.comparison.comparison import Comparison, TaskComparison
from gptkit.evaluation.comparison.explanation import Explanation
from gptkit.evaluation.comparison.paired import PairedDifference
from gptkit.evaluation.protocol import short_value
from gptkit.evaluation.report import align_columns, format_value

TESTS = {"mcnemar": "McNemar", "permutation": "permutation"}
HEAD = ("metric", "a", "b", "b - a", "95% interval", "test", "p", "higher in b", "lower", "equal")
HEAD_OF_TASKS = ("task", *HEAD[:7], "p (Holm)", *HEAD[7:])


def comparison_table(comparison: Comparison) -> str:
    """Return a line per task and metric."""
    several = len(comparison.tasks) > 1
    rows = [list(HEAD_OF_TASKS if several else HEAD)]
    for name, task in comparison.tasks.items():
        for metric, each in task.differences.items():
            line = difference_line(name, metric, each)
            rows.append(line if several else [*line[1:8], *line[9:]])  # of one task: no name and no adjusted p-value
    return align_columns(rows)


def difference_line(task: str, metric: str, each: PairedDifference) -> list[str]:
    """Return the cells below `HEAD_OF_TASKS`."""
    counts = [f"{count:,}" for count in (each.higher, each.lower, each.equal)]
    return [task, metric, *difference_cells(each), format_p(each.adjusted_p_value), *counts]


def difference_cells(each: PairedDifference) -> list[str]:
    """Return the values of both results, the difference, its interval, the test and the p-value."""
    has_interval = each.low is not None and each.high is not None
    interval = f"{_signed(each.low)} to {_signed(each.high)}" if has_interval else "-"
    return [
        format_value(each.a),
        format_value(each.b),
        _signed(each.difference),
        interval,
        TESTS[each.test],
        format_p(each.p_value),
    ]


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return what a reader must know about the items, one line per fact."""
    lines = []
    for name, task in comparison.tasks.items():
        pairing = task.pairing
        others = [f"{count:,} only in {side}" for side, count in (("a", pairing.only_a), ("b", pairing.only_b)) if count]
        lines.append("; ".join([f"{name}: {len(pairing.rows_a):,} items in common", *others]))
    for side, names in (("a", comparison.only_a), ("b", comparison.only_b)):
        if names:
            lines.append(f"only in {side}, not compared: {', '.join(names)}")
    return lines


def comparison_warnings(comparison: Comparison) -> list[str]:
    """Return the warnings about protocols and scores, one line each."""
    warnings = []
    for name, task in comparison.tasks.items():
        if task.protocol:
            described = ", ".join(
                f"{key} ({short_value(one)} in a, {short_value(other)} in b)" for key, one, other in task.protocol
            )
            warnings.append(f"{name}: the protocols differ, so the difference is not one of the models alone: {described}")
        warnings += [f"{name}: {note}" for note in task.notes]
    return warnings


def comparison_content(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain JSON values."""
    return {
        "tasks": {name: _task_content(task) for name, task in comparison.tasks.items()},
        "only_a": comparison.only_a,
        "only_b": comparison.only_b,
    }


def _task_content(task: TaskComparison) -> dict[str, Any]:
    return {
        "a": {"folder": str(task.a.folder), "checkpoint": task.a.content.get("checkpoint")},
        "b": {"folder": str(task.b.folder), "checkpoint": task.b.content.get("checkpoint")},
        "items": len(task.pairing.rows_a),
        "only_a": task.pairing.only_a,
        "only_b": task.pairing.only_b,
        "paired_by": "position" if task.pairing.by_position else "content",
        "metrics": {name: asdict(each) for name, each in task.differences.items()},
        "protocol_differences": {key: {"a": one, "b": other} for key, one, other in task.protocol},
        "notes": list(task.notes),
    }


def explanation_table(explanation: Explanation) -> str:
    """Return a line per step with what it adds to each metric, and the remainder."""
    names = list(explanation.a)
    rows = [["step", *names, "change"], ["a", *(format_value(value) for value in explanation.a.values()), ""]]
    for step in explanation.steps:
        changes = ", ".join(f"{key}: {short_value(one)} -> {short_value(other)}" for key, one, other in step.changes)
        rows.append([step.name, *(_signed(step.effects[name]) for name in names), changes])
    others = ", ".join(f"{key}: {short_value(one)} in a, {short_value(other)} in b" for key, one, other in explanation.unexplained)
    rows.append(["remainder", *(_signed(explanation.remainder[name]) for name in names), others])
    rows.append(["b", *(format_value(value) for value in explanation.b.values()), ""])
    return align_columns(rows)


def explanation_content(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as plain JSON values."""
    return asdict(explanation)


def format_p(value: float | None) -> str:
    """Format a p-value; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _signed(value: float | None) -> str:
    assert value is not None
    return f"{value:+,.1f}" if abs(value) >= 1000 else f"{value:+.4f}"
