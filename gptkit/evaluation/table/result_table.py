"""The results of several tasks or several models: as one table, and as the content of table.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gptkit.evaluation.comparison.paired import PairedDifference, adjust_over_tasks, paired_differences
from gptkit.evaluation.comparison.report import HEAD_OF_TASKS, difference_line
from gptkit.evaluation.intervals import Metric
from gptkit.evaluation.report import align_columns, finite, format_interval, format_value, plain_metrics
from gptkit.evaluation.table.paper_results import PaperResult
from gptkit.evaluation.table.task_groups import TaskGroup, average
from gptkit.evaluation.table.task_rows import TaskRow
from gptkit.evaluation.task_evaluation import TaskResult

NO_FILE = "no file"


@dataclass
class ModelResults:
    """The results of one model."""

    name: str
    """Its short name, which is the name of its folder and the title of its column."""
    checkpoint: str
    parameters: int | None = None
    tasks: dict[str, TaskResult] = field(default_factory=dict)
    """By the name of the row."""

    def group(self, group: TaskGroup) -> tuple[dict[str, Metric], int]:
        """Return the averages of a group over the main metrics of its tasks that were evaluated, and their number."""
        members = [self.tasks[name] for name in group.tasks if name in self.tasks]
        if not members:
            return {}, 0
        main = [next(iter(each.metrics.values())) for each in members]
        return average(main, [each.content["items"] for each in members]), len(members)


def measured_values(models: Sequence[ModelResults], groups: Sequence[TaskGroup]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the values by model, by task or group, and by metric."""
    return {
        model.name: {
            **{name: {key: metric.value for key, metric in result.metrics.items()} for name, result in model.tasks.items()},
            **{group.name: {key: metric.value for key, metric in model.group(group)[0].items()} for group in groups},
        }
        for model in models
    }


def paired(rows: Sequence[TaskRow], a: ModelResults, b: ModelResults) -> dict[str, dict[str, PairedDifference]]:
    """Return the differences b - a of the tasks that both models were evaluated on, paired by item."""
    return adjust_over_tasks(
        {
            row.name: paired_differences(
                a.tasks[row.name].results.columns, b.tasks[row.name].results.columns, a.tasks[row.name].task.aggregate
            )
            for row in rows
            if row.name in a.tasks and row.name in b.tasks
        }
    )


def table_content(
    rows: Sequence[TaskRow],
    groups: Sequence[TaskGroup],
    models: Sequence[ModelResults],
    differences: Mapping[str, Mapping[str, PairedDifference]] | None = None,
) -> dict[str, Any]:
    """Return the table as plain JSON values. Numbers that are not finite become null."""
    content: dict[str, Any] = {"models": {model.name: model.checkpoint for model in models}, "tasks": {}, "groups": {}}
    for row in rows:
        results = {
            model.name: {"metrics": plain_metrics(result.metrics), "items": result.content["items"]}
            for model in models
            if (result := model.tasks.get(row.name)) is not None
        }
        content["tasks"][row.name] = {
            "task": row.evaluation.task.name,
            "results": results,
            **({} if row.missing is None else {"missing": row.missing}),
            **({} if row.paper is None else {"paper": _plain_paper(row.paper)}),
        }
    for group in groups:
        averages = {model.name: model.group(group) for model in models}
        content["groups"][group.name] = {
            "tasks": list(group.tasks),
            "results": {
                name: {"metrics": plain_metrics(metrics), "tasks": count} for name, (metrics, count) in averages.items() if count
            },
            **({} if group.paper is None else {"paper": _plain_paper(group.paper)}),
        }
    if differences is not None:
        content["differences"] = {
            task: {name: {key: finite(value) for key, value in asdict(each).items()} for name, each in of_task.items()}
            for task, of_task in differences.items()
        }
    return content


def _plain_paper(paper: PaperResult) -> dict[str, Any]:
    return {"source": paper.source, **{metric: dict(values) for metric, values in paper.metrics.items()}}


def table_text(rows: Sequence[TaskRow], groups: Sequence[TaskGroup], models: Sequence[ModelResults]) -> str:
    """Return the table: a line per metric, with the value and interval of each model, and the number of a paper."""
    has_paper = any(row.paper is not None for row in rows) or any(group.paper is not None for group in groups)
    values = ["value", "95% interval"] if len(models) == 1 else [model.name for model in models]
    lines = [["task", "metric", *values, "items", *(["paper"] if has_paper else [])]]
    for row in rows:
        lines += _row_lines(row, models, has_paper)
    for group in groups:
        lines += _group_lines(group, models, has_paper)
    return align_columns(lines)


def _row_lines(row: TaskRow, models: Sequence[ModelResults], has_paper: bool) -> Iterator[list[str]]:
    results = [model.tasks.get(row.name) for model in models]
    shown = next((each for each in results if each is not None), None)
    title = row.name
    for name in _shown_metrics(row, shown):
        metrics = [None if each is None else each.metrics.get(name) for each in results]
        cells = _cells(metrics, NO_FILE if shown is None else "-")
        own = next((metric.items for metric in metrics if metric is not None and metric.items is not None), None)
        items = "-" if shown is None else f"{own or shown.content['items']:,}"
        yield [title, name, *cells, items, *([_paper_cell(row.paper, name, models[0].parameters)] if has_paper else [])]
        for part, subset in ({} if shown is None else shown.subsets).items():
            subsets = [None if each is None else each.subsets[part].metrics.get(name) for each in results]
            yield ["", f"  {part}", *_cells(subsets, "-"), f"{subset.items:,}", *([""] if has_paper else [])]
        title = ""


def _group_lines(group: TaskGroup, models: Sequence[ModelResults], has_paper: bool) -> Iterator[list[str]]:
    averages = [model.group(group) for model in models]
    count = max(count for _, count in averages)
    title = group.name
    for name in ("macro", "micro"):
        cells = _cells([metrics.get(name) for metrics, _ in averages], NO_FILE)
        paper = _paper_cell(group.paper, name, models[0].parameters) if has_paper else None
        yield [title, name, *cells, f"{count} of {len(group.tasks)} tasks", *([] if paper is None else [paper])]
        title = ""


def _shown_metrics(row: TaskRow, result: TaskResult | None) -> list[str]:
    """Return the metrics of a paper; without a paper, all; and if the paper has no number, the main one."""
    measured = [] if result is None else list(result.metrics)
    if row.paper is None:
        return measured
    return list(row.paper.metrics) or measured[:1] or ["-"]


def _cells(metrics: Sequence[Metric | None], absent: str) -> list[str]:
    """Return the cells of a line: value and interval of one model, or one cell for each of several models."""
    if len(metrics) == 1:
        metric = metrics[0]
        return [absent, "-"] if metric is None else [format_value(metric.value), format_interval(metric)]
    return [
        absent if metric is None else f"{format_value(metric.value)} ({format_interval(metric)})".replace(" (-)", "")
        for metric in metrics
    ]


def _paper_cell(paper: PaperResult | None, metric: str, parameters: int | None) -> str:
    if paper is None:
        return ""
    value = paper.nearest(metric, parameters)
    return f"- ({paper.source})" if value is None else f"{value.value:g} ({value.model}, {paper.source})"


def differences_text(differences: Mapping[str, Mapping[str, PairedDifference]], shown: Mapping[str, Sequence[str]]) -> str:
    """Return the paired differences as a table.

    Args:
        differences: the differences by task and metric.
        shown: the metrics to show, by task.
    """
    lines = [list(HEAD_OF_TASKS)]
    for task, of_task in differences.items():
        title = task
        for name, each in of_task.items():
            if name in shown.get(task, ()):
                lines.append(difference_line(title, name, each))
                title = ""
    return align_columns(lines)


def shown_metrics(rows: Sequence[TaskRow], model: ModelResults) -> dict[str, list[str]]:
    """Return the metrics that the table shows, by task."""
    return {row.name: _shown_metrics(row, model.tasks.get(row.name)) for row in rows}
