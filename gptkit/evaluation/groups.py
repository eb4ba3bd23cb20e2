"""Metrics of the groups of items, such as the subjects of an exam, and their mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gptkit.evaluation.contamination import Subset
from gptkit.evaluation.intervals import Metric, add_intervals
from gptkit.evaluation.runner import Results
from gptkit.task.base import Columns, Task

MACRO = "macro_"
"""Begins the name of the mean of a metric over groups. The metric itself is over all items, the micro average."""
GROUP = "group"

Aggregate = Callable[[Columns], dict[str, float]]


@dataclass(frozen=True)
class GroupMetrics:
    """The metrics of all items with the mean over groups, and those of each group."""

    metrics: dict[str, Metric]
    groups: dict[str, Subset]


def add_groups(task: Task, results: Results) -> GroupMetrics:
    """Return the metrics with intervals; if the task has groups, also the mean of the main metric over groups, and each group's.

    An interval of the mean over groups is the percentile bootstrap over items.
    """
    if not task.has_groups:
        return GroupMetrics(add_intervals(results, task.aggregate, task.subset_scores), {})
    names = [item.group for item in task.items()]
    groups = list(dict.fromkeys(names))
    columns = {**results.columns, GROUP: np.array([groups.index(name) for name in names], dtype=np.float64)}
    aggregate = _with_macro_average(task.aggregate, len(groups))
    extended = Results(aggregate(columns), columns, results.truncated, results.requests)
    subsets = {}
    for number, name in enumerate(groups):
        part = _select(columns, number)
        subset = Results(task.aggregate(part), part, 0, 0)
        subsets[name] = Subset(names.count(name), add_intervals(subset, task.aggregate))
    return GroupMetrics(add_intervals(extended, aggregate), subsets)


def _with_macro_average(aggregate: Aggregate, groups: int) -> Aggregate:
    def with_macro_average(columns: Columns) -> dict[str, float]:
        metrics = aggregate({name: values for name, values in columns.items() if name != GROUP})
        main = next(iter(metrics))
        parts = [_select(columns, number) for number in range(groups)]
        values = [aggregate(part)[main] for part in parts if len(next(iter(part.values())))]  # a resample may lack a group
        return {main: metrics.pop(main), f"{MACRO}{main}": float(np.mean(values)), **metrics}

    return with_macro_average


def _select(columns: Columns, group: int) -> Columns:
    is_inside = columns[GROUP] == group
    return {name: values[is_inside] for name, values in columns.items() if name != GROUP}
