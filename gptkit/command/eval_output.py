"""What `gptkit eval` prints: a table, or one line of JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any

from gptkit.evaluation.report import overlap_line, results_table
from gptkit.terminal import print_text, write_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gptkit.command.eval_config import EvalCommand
    from gptkit.evaluation.intervals import Metric
    from gptkit.evaluation.task_evaluation import PreparedTask, TaskResult

_log = logging.getLogger("gptkit")


def print_task(settings: EvalCommand, prepared: PreparedTask, result: TaskResult) -> None:
    """Print the results of one task with one model, and its warnings."""
    for warning in result.warnings:
        _log.warning("%s", warning)
    if settings.format == "json":
        _print_json(settings, result.metrics, result.content)
        return
    print_text(results_table(result.metrics, result.content["items"], result.subsets, result.groups))
    for note in result.notes:
        print_text(note)
    if prepared.overlaps is not None:
        print_text(overlap_line(prepared.overlaps))


def print_comparison(settings: EvalCommand, metrics: Mapping[str, Metric]) -> None:
    """Print the metrics of a task that compares two models."""
    if settings.format == "json":
        _print_json(settings, metrics, {})
    else:
        print_text(results_table(metrics, None))


def _print_json(settings: EvalCommand, metrics: Mapping[str, Metric], content: Mapping[str, Any]) -> None:
    head = {"task": settings.task.name, "checkpoint": settings.checkpoint, "against": settings.against, "seed": settings.seed}
    scores = {name: metric.value for name, metric in metrics.items()}
    line = {**head, "settings": dataclasses.asdict(settings.task), "scores": scores, **content}
    write_result(json.dumps(line, ensure_ascii=False) + "\n")
