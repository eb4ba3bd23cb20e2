"""The page that compares runs: their results, the differences of their configurations, and their curves on common axes.

`gptkit report` and sweeps write it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.page.chart_view import chart_views
from gptkit.page.charts import Chart
from gptkit.page.html_page import render
from gptkit.training.reporting.charts import MAX_EXTRA, comparison_charts, scatter_chart
from gptkit.training.reporting.config_difference import ABSENT, differing_keys, flatten, round_numbers
from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.fault_tolerance import read_object
from gptkit.training.reporting.metrics_csv import FILE as METRICS
from gptkit.training.reporting.ranking import best_of, common_monitor, format_cell, format_value, heading, rank, summary_columns
from gptkit.training.reporting.report import FILE as REPORT
from gptkit.training.reporting.report import TEMPLATES, read_curves, read_settings
from gptkit.training.reporting.summary import read_summary

_MAX_KEYS = 3
"""Maximum number of differing keys in the table of results; the table of configurations shows all of them."""

_MAX_VALUE_LENGTH = 60


@dataclass
class ComparedRun:
    """A run on the page."""

    name: str
    """of the run in tables"""
    folder: Path
    status: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """the composed configuration, by dotted key"""
    curves: Curves = field(default_factory=lambda: Curves({}))
    labels: Mapping[str, str] = field(default_factory=dict)
    """values of the keys in which the runs differ"""
    messages: Sequence[str] = ()
    """why it failed, and which of its files cannot be read"""
    pages: Sequence[str] = (REPORT, "log.txt")
    """names of files in its folder, of which the first that exists is linked"""
    label: str = ""
    """of its curves; empty: its name"""

    def __post_init__(self) -> None:
        self.label = self.label or self.name


RUN_FILES = ("config.yaml", METRICS, "summary.json", "job.json")
"""A folder with one of these files is a run, or the job of a sweep."""


def read_run(name: str, folder: Path) -> ComparedRun:
    """Read a run's folder. Content that cannot be read is left out, and named in the run's messages."""
    with _collect_warnings() as messages:
        summary, settings, curves = read_summary(folder), flatten(read_settings(folder)), read_curves(folder)
        job = read_object(folder / "job.json")
    status = "finished" if summary.get("finished") else "not finished"
    if job.get("status") == "failed":
        status, messages = "failed", [str(job.get("error")), *messages]
    return ComparedRun(name, folder, status, summary, settings, curves, messages=messages)


@contextmanager
def _collect_warnings() -> Iterator[list[str]]:
    """Collect the warnings inside the block, such as those about damaged files; they are also logged."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage().removeprefix("warning: "))

    log, collector = logging.getLogger("gptkit"), Collector(logging.WARNING)
    log.addHandler(collector)
    try:
        yield messages
    finally:
        log.removeHandler(collector)


def write_comparison(
    path: Path, title: str, runs: Sequence[ComparedRun], *, keys: Sequence[str] | None = None, noun: str = "run", common: str = ""
) -> None:
    """Write the page.

    Args:
        path: the path of the page; links to the runs are relative to its folder.
        title: the title of the page.
        runs: the runs, in the order that breaks ties.
        keys: keys of `labels` to show in the table of results; None: the first few keys in which the configurations differ.
        noun: the name of a row of the table: "run" or "job".
        common: overrides that all runs share, as a text.
    """
    differing = differing_keys([run.settings for run in runs])
    if keys is None:
        keys = label_by_settings(runs)
    ranked, (metric, mode) = rank(runs), common_monitor(runs)
    best, what = best_of(ranked), heading(metric)
    column = metric.replace("val_", "val/", 1)
    charts = comparison_charts([(run.label, run.curves) for run in ranked], column)
    known = [run for run in ranked if run.summary.get(metric) is not None and run.status != "failed"]
    with_others = [key for key in differing if key not in keys] if any(run.settings for run in runs) else []
    drawn = {series.label for chart in charts for series in chart.series} | {run.label for run in known}
    order = f"{'lowest' if mode == 'min' else 'highest'} {what} first"
    page = render(
        "comparison.html",
        templates=TEMPLATES,
        title=title,
        lead=f"{len(runs)} {noun}{'s' * (len(runs) != 1)}, {order}. The first column links to the page of each.",
        tiles=_tiles(ranked, best, metric, keys, noun),
        runs=_results_table(path.parent, ranked, best, keys, noun),
        problems=_problems(path.parent, ranked, noun),
        differences=_differences_table(ranked, differing, noun) if with_others else None,
        charts=chart_views(charts[:MAX_EXTRA]),
        omitted=len(charts[MAX_EXTRA:]),
        scatter=chart_views(_scatter_charts(what, metric, known, ranked, keys), "key"),
        legend=[{"label": run.label, "color": color} for color, run in enumerate(ranked) if run.label in drawn],
        metric=what[:1].upper() + what[1:],
        common=common,
    )
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, page)


def label_by_settings(runs: Sequence[ComparedRun]) -> list[str]:
    """Set the labels of runs to the first few keys in which their configurations differ, and return those keys."""
    keys = differing_keys([run.settings for run in runs])[:_MAX_KEYS]
    for run in runs:
        run.labels = {key: run.settings.get(key, ABSENT) for key in keys}
    return keys


def _tiles(
    ranked: Sequence[ComparedRun], best: Sequence[ComparedRun], metric: str, keys: Sequence[str], noun: str
) -> list[tuple[str, str]]:
    finished = sum(run.status == "finished" for run in ranked)
    tiles = [(f"{finished} of {len(ranked)}", f"{noun}s finished")]
    if best:
        name = best[0].name if noun == "run" else f"{noun} {best[0].name}"
        who = name if len(best) == 1 else f"a tie of {len(best)} {noun}s"
        tiles.insert(0, (format_value(metric, best[0].summary[metric]), f"best {heading(metric)}, {who}"))
        for key in keys:
            values = {run.labels.get(key, ABSENT) for run in best}
            if len(values) == 1:
                tiles.append((_shorten(round_numbers([values.pop()])[0]), f"{key} of the best"))
    return tiles


def _results_table(
    base: Path, ranked: Sequence[ComparedRun], best: Sequence[ComparedRun], keys: Sequence[str], noun: str
) -> dict[str, Any]:
    columns = summary_columns(ranked)
    shown = {key: round_numbers([run.labels.get(key, "") for run in ranked]) for key in keys}
    rows = []
    for number, run in enumerate(ranked):
        cells = [_text_cell(shown[key][number], run.labels.get(key, "")) for key in keys]
        cells += [_metric_cell(column, run.summary) for column in columns]
        cells += [_text_cell(run.status), {**_text_cell("metrics.csv"), "link": _link(base, run.folder / METRICS)}]
        if not cells[-1]["link"]:
            cells[-1] = _text_cell("")
        link = next((link for name in run.pages if (link := _link(base, run.folder / name))), "")
        rows.append(
            {"name": run.name, "series": run.label, "link": link, "kind": "best" if run in best else run.status, "cells": cells}
        )
    return {"headings": [noun, *keys, *map(heading, columns), "status", "data"], "rows": rows}


def _differences_table(ranked: Sequence[ComparedRun], keys: Sequence[str], noun: str) -> dict[str, Any]:
    shown = {key: round_numbers([run.settings.get(key, ABSENT) for run in ranked]) for key in keys}
    rows = []
    for number, run in enumerate(ranked):
        cells = [_text_cell(shown[key][number], run.settings.get(key, ABSENT)) for key in keys]
        rows.append({"name": run.name, "series": run.label, "link": "", "kind": "", "cells": cells})
    return {"headings": [noun, *keys], "rows": rows}


def _problems(base: Path, ranked: Sequence[ComparedRun], noun: str) -> list[dict[str, str]]:
    return [
        {
            "name": run.name if noun == "run" else f"{noun} {run.name}",
            "link": _link(base, run.folder / "log.txt"),
            "message": ("failed: " if run.status == "failed" else "") + "\n".join(run.messages),
        }
        for run in ranked
        if run.messages
    ]


def _scatter_charts(
    what: str, metric: str, known: Sequence[ComparedRun], ranked: Sequence[ComparedRun], keys: Sequence[str]
) -> list[Chart]:
    charts = []
    for key in keys:
        points = [(ranked.index(run), run.label, run.labels.get(key, ABSENT), float(run.summary[metric])) for run in known]
        charts.append(scatter_chart(f"{what[:1].upper()}{what[1:]} against {key}", key, points))
    return [chart for chart in charts if chart is not None]


def _text_cell(text: str, whole: str = "") -> dict[str, Any]:
    shown = _shorten(text)
    return {"text": shown, "title": whole if whole and whole != shown else "", "sort": None, "link": ""}


def _metric_cell(column: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    value = summary.get(column)
    is_number = isinstance(value, int | float)
    return {"text": format_cell(column, summary), "title": "", "sort": value if is_number else None, "link": ""}


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[: _MAX_VALUE_LENGTH - 1]}…"


def _link(base: Path, target: Path) -> str:
    """Return the address of a file relative to the page's folder; empty if there is no such file."""
    return quote(os.fsencode(os.path.relpath(target, base))) if target.is_file() else ""
