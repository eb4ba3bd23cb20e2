"""Averages over groups of tasks, such as SuperGLUE."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptkit.errors import ConfigError, did_you_mean
from gptkit.evaluation.intervals import DETECTION, Metric
from gptkit.evaluation.table.paper_results import PaperResult, read_paper
from gptkit.evaluation.table.requirements import is_lower_better

QUANTILE = 1.959964
"""Of the normal distribution, for a 95% interval."""

PERCENT = ("bleu",)
"""Parts of the names of metrics between 0 and 100."""


@dataclass(frozen=True)
class TaskGroup:
    """Tasks whose main metrics are averaged."""

    name: str
    tasks: tuple[str, ...]
    paper: PaperResult | None = None


def read_groups(groups: Mapping[str, Any], tasks: Sequence[str]) -> list[TaskGroup]:
    """Return the groups of a mapping such as `{superglue: [boolq, copa]}` or `{superglue: {tasks: [...], paper: {...}}}`.

    Raises:
        ConfigError: a group is not a list of tasks that exist, or has the name of a task.
    """
    result = []
    for name, content in groups.items():
        if content is None:
            continue
        members = content.get("tasks") if isinstance(content, Mapping) else content
        if not isinstance(members, list | tuple) or not members:
            raise ConfigError(f"groups.{name}={content} must be a list of tasks, such as [boolq,copa]")
        for member in members:
            if member not in tasks:
                raise ConfigError(f"groups.{name}: there is no task {member}.{did_you_mean(str(member), tasks)}")
        if name in tasks:
            raise ConfigError(f"groups.{name} has the name of a task; choose another one")
        paper = read_paper(content.get("paper"), path=f"groups.{name}.paper") if isinstance(content, Mapping) else None
        result.append(TaskGroup(name, tuple(dict.fromkeys(members)), paper))
    return result


def check_units(groups: Sequence[TaskGroup], main_metrics: Mapping[str, str]) -> None:
    """Check that the main metrics of a group can be averaged.

    Args:
        groups: the groups.
        main_metrics: the names of the main metrics by task, where they are known.

    Raises:
        ConfigError: they have different units.
    """
    for group in groups:
        known = {task: main_metrics[task] for task in group.tasks if task in main_metrics}
        first = next(iter(known), "")
        other = next((task for task, metric in known.items() if _unit(metric) != _unit(known[first])), None)
        if other is not None:
            raise ConfigError(
                f"groups.{group.name} averages {known[first]} of {first} and {known[other]} of {other}, which have different "
                "units; remove one of them"
            )


def _unit(metric: str) -> str:
    """Return what can be averaged with a metric: itself, or all scores between 0 and 1, such as accuracy and F1."""
    is_own = is_lower_better(metric) or any(part in metric for part in PERCENT)
    return metric if is_own else "score between 0 and 1"


def average(metrics: Sequence[Metric], items: Sequence[int]) -> dict[str, Metric]:
    """Return the macro average (each task counts the same) and the micro average (each item counts the same) of tasks.

    The tasks have different items, so their errors are independent, and the interval is that of a normal distribution.
    """
    return {
        "macro": _weighted(metrics, np.full(len(metrics), 1 / len(metrics))),
        "micro": _weighted(metrics, np.array(items, dtype=np.float64) / sum(items)),
    }


def _weighted(metrics: Sequence[Metric], weights: np.ndarray[Any, np.dtype[np.float64]]) -> Metric:
    value = math.fsum(weight * metric.value for weight, metric in zip(weights, metrics, strict=True))
    differences = [metric.minimum_detectable_difference for metric in metrics]
    if any(each is None for each in differences):
        return Metric(value)
    difference = math.hypot(*(weight * (each or 0.0) for weight, each in zip(weights, differences, strict=True)))
    error = difference / (DETECTION * math.sqrt(2))
    return Metric(value, value - QUANTILE * error, value + QUANTILE * error, difference)
