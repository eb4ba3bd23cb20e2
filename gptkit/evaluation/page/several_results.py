"""Several results on one page: a table of tasks and models, and accuracy against the number of examples and the size of the model.

The charts are those of "Language Models are Few-Shot Learners": figure 1.2 (against K) and the figures of section 3 (against size).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.evaluation.page.calibration import reliability_section
from gptkit.evaluation.page.content import FILE, TEMPLATES, read_results
from gptkit.evaluation.page.protocol import protocol_rows
from gptkit.evaluation.report import align_columns, format_value
from gptkit.page.chart_view import chart_views
from gptkit.page.charts import Chart, Series
from gptkit.page.html_page import render
from gptkit.page.numbers import format_count

MAX_CHARTS = 60

_OF_THE_MODEL = ("weights", "tokenizer", "context", "device", "items", "gptkit", "fewshot.k", "fewshot.pool")
"""Keys of the protocol that differ between models or numbers of examples by their nature."""


@dataclass(frozen=True)
class Result:
    """The results of one task with one model."""

    name: str
    """Its folder, without what all folders have in common."""
    folder: Path
    content: Mapping[str, Any]
    """results.json"""

    @property
    def task(self) -> str:
        return str(self.content.get("task"))

    @property
    def k(self) -> int:
        """The number of examples in context."""
        k: int = self.content.get("fewshot", {}).get("k", 0)
        return k

    @property
    def parameters(self) -> int | None:
        parameters: int | None = self.content.get("parameters")
        return parameters

    @property
    def settings(self) -> dict[str, str]:
        """The name of the data, the keys of the protocol by which results of the same task may differ, and the number of items."""
        rows = protocol_rows(self.content.get("protocol", {}))
        data = {"data": str(self.content["data"])} if self.content.get("data") else {}
        return data | {key: value for key, value in rows if key not in _OF_THE_MODEL} | {"items": f"{self.content.get('items')}"}


@dataclass(frozen=True)
class Row:
    """A metric of a task in the table, with one result per model."""

    task: str
    metric: str
    k: int
    results: Mapping[str, Result]
    """By model."""


def read_all(folders: Sequence[Path]) -> list[Result]:
    """Read the results of folders.

    Raises:
        DataError: results.json is damaged.
    """
    base = os.path.commonpath([os.path.dirname(os.path.abspath(folder)) for folder in folders])
    return [Result(os.path.relpath(os.path.abspath(folder), base), folder, read_results(folder)) for folder in folders]


def name_models(results: Sequence[Result]) -> dict[str, str]:
    """Return the name of the model of each result: the end of its checkpoint, as long as is needed to tell models apart."""
    keys = {result.name: _model_key(result) for result in results}
    weights: dict[str, set[str]] = {}
    for checkpoint, fingerprint in keys.values():
        weights.setdefault(checkpoint, set()).add(fingerprint)
    short: dict[str, str] = {}
    for length in range(1, 1 + max(len(Path(checkpoint).parts) for checkpoint in weights)):
        short = {checkpoint: "/".join(Path(checkpoint).parts[-length:]) for checkpoint in weights}
        if len(set(short.values())) == len(weights):
            break
    names = {}
    for name, (checkpoint, fingerprint) in keys.items():
        has_changed = len(weights[checkpoint]) > 1  # such as a run that was continued
        names[name] = f"{short[checkpoint]} ({fingerprint[:8] or 'other'})" if has_changed else short[checkpoint]
    return names


def order_models(results: Sequence[Result], models: Mapping[str, str]) -> list[str]:
    """Return the names of the models, the smallest first."""
    ordered = sorted(results, key=lambda result: (result.parameters is None, result.parameters or 0))
    return list(dict.fromkeys(models[result.name] for result in ordered))


def _model_key(result: Result) -> tuple[str, str]:
    return str(result.content.get("checkpoint")), str(result.content.get("protocol", {}).get("weights", ""))


def label_tasks(results: Sequence[Result], models: Mapping[str, str]) -> dict[str, str]:
    """Return the task of each result, with the settings in which results of this task differ, but without K."""
    labels = {}
    for result in results:
        same = [other.settings for other in results if other.task == result.task]
        of_data = [settings for settings in same if settings.get("data") == result.settings.get("data")]
        differing = [
            key
            for key in result.settings  # other data has another number of items by its nature
            if len({settings[key] for settings in (of_data if key == "items" else same) if key in settings}) > 1
        ]
        words = [f"{key.removeprefix('task.')}={result.settings[key]}" for key in differing]
        labels[result.name] = ", ".join([result.task, *words])
    cells: dict[tuple[str, str, int], str] = {}
    for result in results:
        cell = (labels[result.name], models[result.name], result.k)
        if cell in cells:  # another file with the same settings
            labels[result.name] += f" ({result.name})"
        cells.setdefault(cell, result.name)
    return labels


def table_rows(results: Sequence[Result], models: Mapping[str, str], tasks: Mapping[str, str], *, main: bool = True) -> list[Row]:
    """Return the rows of the table: tasks in their order, K ascending, and of each the main metric, or all metrics."""
    cells: dict[tuple[str, int], dict[str, Result]] = {}
    for result in results:
        cells.setdefault((tasks[result.name], result.k), {})[models[result.name]] = result
    order = {task: number for number, task in enumerate(dict.fromkeys(tasks.values()))}
    rows = []
    for (task, k), row in sorted(cells.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        metrics = list(dict.fromkeys(name for result in row.values() for name in result.content["metrics"]))
        rows += [Row(task, metric, k, row) for metric in metrics[: 1 if main else None]]
    return rows


def format_cell(result: Result | None, metric: str) -> str:
    """Format a metric with its interval; empty if there is none."""
    content = {} if result is None else result.content["metrics"].get(metric, {})
    if content.get("value") is None:
        return ""
    has_interval = content.get("low") is not None and content.get("high") is not None
    interval = f" ({format_value(content['low'])} to {format_value(content['high'])})" if has_interval else ""
    return format_value(content["value"]) + interval


def results_as_text(results: Sequence[Result]) -> str:
    """Return the table of the main metrics, one line per task and K."""
    models = name_models(results)
    columns = order_models(results, models)
    rows = [["task", "K", "metric", *columns]]
    for row in table_rows(results, models, label_tasks(results, models)):
        rows.append([row.task, f"{row.k:,}", row.metric, *(format_cell(row.results.get(model), row.metric) for model in columns)])
    return align_columns(rows)


def results_charts(
    results: Sequence[Result], models: Mapping[str, str], tasks: Mapping[str, str]
) -> tuple[list[Chart], list[Chart]]:
    """Return the charts against K and those against the size of the model, of all tasks whose results differ in them."""
    against_k, against_size = [], []
    names = order_models(results, models)
    for task in dict.fromkeys(tasks.values()):
        part = [result for result in results if tasks[result.name] == task and _value(result) is not None]
        if not part:
            continue
        shots = sorted({result.k for result in part})
        if len(shots) > 1:
            series = [
                _series(name, [(shots.index(each.k), each) for each in part if models[each.name] == name], "k", color)
                for color, name in enumerate(names)
            ]
            x_names = {"k": "examples in context (K)"}
            against_k.append(_chart(task, part, series, x_names, categories=[f"{k:,}" for k in shots]))
        sized = [result for result in part if result.parameters]
        if len({result.parameters for result in sized}) > 1:
            series = [
                _series(f"K = {k:,}", [(each.parameters, each) for each in sized if each.k == k], "parameters", color)
                for color, k in enumerate(shots)
            ]
            against_size.append(_chart(task, sized, series, {"parameters": "parameters"}, has_log_x=True))
    return against_k, against_size


def write_comparison(path: Path, results: Sequence[Result]) -> None:
    """Write the page.

    Args:
        path: the path of the page; links to the results are relative to its folder.
        results: the results.
    """
    models = name_models(results)
    tasks = label_tasks(results, models)
    columns = order_models(results, models)
    against_k, against_size = results_charts(results, models, tasks)
    sizes = {models[result.name]: result.parameters for result in results}
    count = len(set(tasks.values()))
    page = render(
        "results.html",
        templates=TEMPLATES,
        title=f"{count} task{'s' * (count != 1)}, {len(columns)} model{'s' * (len(columns) != 1)}",
        lead=f"{len(results)} result{'s' * (len(results) != 1)} of gptkit eval. Each number links to its page.",
        models=[{"name": name, "size": f"{format_count(size)} parameters" if (size := sizes[name]) else ""} for name in columns],
        rows=_view(path.parent, table_rows(results, models, tasks), columns),
        all_rows=_view(path.parent, table_rows(results, models, tasks, main=False), columns),
        has_k=any(result.k for result in results),
        calibrations=_calibrations(table_rows(results, models, tasks)),
        against_k=chart_views(against_k[:MAX_CHARTS], "k"),
        against_size=chart_views(against_size[:MAX_CHARTS], "size"),
    )
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, page)


def _calibrations(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the reliability of the models on each multiple choice task, on one plot (GPT-4's report, figure 8)."""
    views = []
    for number, row in enumerate(rows[:MAX_CHARTS]):
        found = {model: result.content["calibration"] for model, result in row.results.items() if result.content.get("calibration")}
        if found:
            title = f"{row.task}, K = {row.k:,}" if row.k else row.task
            views.append({"title": title, "html": reliability_section(found, f"reliability{number}").html})
    return views


def _view(base: Path, rows: Sequence[Row], columns: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "task": row.task,
            "k": f"{row.k:,}",
            "metric": row.metric,
            "chance": _chance(next(iter(row.results.values())), row.metric),
            "cells": [_cell(base, row.results.get(name), row.metric) for name in columns],
        }
        for row in rows
    ]


def _cell(base: Path, result: Result | None, metric: str) -> dict[str, str]:
    value, _, interval = format_cell(result, metric).partition(" ")
    page = None if result is None else result.folder / FILE
    link = quote(os.fsencode(os.path.relpath(page, base))) if page is not None and page.is_file() else ""
    return {"value": value, "interval": interval.strip("()"), "link": link, "title": "" if result is None else result.name}


def _chance(result: Result, metric: str) -> str:
    chance = result.content.get("chance", {}).get(metric)
    return "" if chance is None else format_value(chance)


def _value(result: Result) -> dict[str, float] | None:
    """Return the main metric; None if it has no value."""
    metric: dict[str, float] = next(iter(result.content["metrics"].values()))
    return metric if metric.get("value") is not None else None


def _series(label: str, points: Sequence[tuple[int | None, Result]], axis: str, color: int) -> Series | None:
    if not points:
        return None
    ordered = sorted(((float(x or 0), _value(result) or {}) for x, result in points), key=lambda point: point[0])
    metrics = [metric for _, metric in ordered]
    has_interval = all(metric.get("low") is not None and metric.get("high") is not None for metric in metrics)
    return Series(
        label,
        {axis: np.array([x for x, _ in ordered])},
        np.array([metric["value"] for metric in metrics], dtype=float),
        np.array([metric["low"] for metric in metrics], dtype=float) if has_interval else None,
        np.array([metric["high"] for metric in metrics], dtype=float) if has_interval else None,
        color=color,
    )


def _chart(
    task: str,
    part: Sequence[Result],
    series: Sequence[Series | None],
    x_names: Mapping[str, str],
    *,
    categories: Sequence[str] = (),
    has_log_x: bool = False,
) -> Chart:
    name = next(iter(part[0].content["metrics"]))
    chance = part[0].content.get("chance", {}).get(name)
    return Chart(
        f"{task}: {name}",
        [each for each in series if each is not None],
        from_zero=True,
        reference=None if chance is None else ("random guessing", chance),
        categories=categories,
        has_log_x=has_log_x,
        x_names=x_names,
    )
