"""What `gptkit eval` prints: tables, or one line of JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from typing import TYPE_CHECKING, Any

from gptkit.evaluation.report import overlap_line, results_table
from gptkit.evaluation.table.result_table import differences_text, shown_metrics, table_text
from gptkit.terminal import print_text, write_result
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gptkit.command.eval_config import EvalCommand
    from gptkit.evaluation.comparison.paired import PairedDifference
    from gptkit.evaluation.intervals import Metric
    from gptkit.evaluation.table.result_table import ModelResults
    from gptkit.evaluation.table.task_groups import TaskGroup
    from gptkit.evaluation.table.task_rows import TaskRow
    from gptkit.evaluation.task_evaluation import PreparedTask, TaskResult
    from gptkit.task import TaskConfig

_log = logging.getLogger("gptkit")


def print_task(settings: EvalCommand, prepared: PreparedTask, result: TaskResult) -> None:
    """Print the results of one task with one model, and its warnings."""
    for warning in result.warnings:
        _log.warning("%s", warning)
    if settings.format == "json":
        _print_json(settings, prepared.settings.task, result.metrics, result.content)
        return
    print_text(results_table(result.metrics, result.content["items"], result.subsets, result.groups))
    for note in result.notes:
        print_text(note)
    if prepared.overlaps is not None:
        print_text(overlap_line(prepared.overlaps))


def print_comparison(settings: EvalCommand, task: TaskConfig, metrics: Mapping[str, Metric]) -> None:
    """Print the metrics of a task that compares two models."""
    if settings.format == "json":
        _print_json(settings, task, metrics, {})
    else:
        print_text(results_table(metrics, None))


def print_table(
    settings: EvalCommand,
    rows: Sequence[TaskRow],
    groups: Sequence[TaskGroup],
    models: Sequence[ModelResults],
    differences: Mapping[str, Mapping[str, PairedDifference]] | None,
    content: Mapping[str, Any],
) -> None:
    """Print the results of several tasks or models, and their warnings."""
    for model in models:
        for name, result in model.tasks.items():
            for warning in result.warnings:
                _log.warning("%s: %s", f"{model.name}, {name}" if len(models) > 1 else name, warning)
    if settings.format == "json":
        write_result(json.dumps({**content, "seed": settings.seed}, ensure_ascii=False) + "\n")
        return
    print_text(table_text(rows, groups, models))
    missing = [row.missing for row in rows if row.missing is not None]
    if missing:
        root = getattr(settings.data, "root", "")
        names = [os.path.relpath(each, expand_path(root)) if root else each for each in missing]
        print_text(f"no file{f' in {root}' if root else ''}: {', '.join(names)}")
    if differences:
        a, b = models
        print_text(f"\na = {a.name}, b = {b.name}, paired by item")
        print_text(differences_text(differences, shown_metrics(rows, a)))


def _print_json(settings: EvalCommand, task: TaskConfig, metrics: Mapping[str, Metric], content: Mapping[str, Any]) -> None:
    head = {"task": task.name, "checkpoint": settings.checkpoint, "against": settings.against, "seed": settings.seed}
    scores = {name: metric.value for name, metric in metrics.items()}
    line = {**head, "settings": dataclasses.asdict(task), "scores": scores, **content}
    write_result(json.dumps(line, ensure_ascii=False) + "\n")
