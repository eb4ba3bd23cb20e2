"""The report of a sweep: a table on standard output and the page `sweep.html`, with the best job first.

Jobs are compared by validation loss, or by the metric that their objective monitors instead.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from rich.table import Table
from rich.text import Text

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.sweep.charts import scatter_chart, training_curves_chart
from gptkit.sweep.jobs import Job, read_jobs
from gptkit.terminal import make_console
from gptkit.training.reporting.html_page import render
from gptkit.training.reporting.summary import VALIDATION_LOSS, monitor_of

_COLUMNS = ("train_loss", "tokens", "tokens_per_second", "wall_seconds")
_MAX_METRICS = 4
"""Further validation metrics that are shown."""
_HEADINGS = {
    VALIDATION_LOSS: "validation loss",
    "train_loss": "training loss",
    "tokens_per_second": "tokens per second",
    "wall_seconds": "time",
}


def report_sweep(sweep: Path, earlier: Mapping[Path, int]) -> None:
    """Print the table and write the page of a sweep's jobs; nothing where none has begun. `earlier`: see `jobs_in`."""
    jobs = read_jobs(sweep, earlier)
    if not jobs:
        return
    print_table(jobs)
    make_console(stderr=True, soft_wrap=True, markup=False).print(
        _printable_text(f"The sweep's page is {write_page(sweep, jobs)}"), highlight=False
    )


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in override_values(job))
    return [key for key in keys if len({override_values(job).get(key) for job in jobs}) > 1]


def monitor_of_jobs(jobs: Sequence[Job]) -> tuple[str, str]:
    """Return the metric that all jobs monitor, and its mode; the validation loss if they differ."""
    monitors = {monitor_of(job.summary) for job in jobs if job.summary.get(VALIDATION_LOSS) is not None}
    return monitors.pop() if len(monitors) == 1 else (VALIDATION_LOSS, "min")


def rank_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Sort jobs by the monitored metric, best first; jobs that failed or have no value come last."""
    metric, mode = monitor_of_jobs(jobs)
    sign = 1 if mode == "min" else -1

    def sort_key(job: Job) -> tuple[float, int]:
        value = job.summary.get(metric)
        return (math.inf if value is None or job.status == "failed" else sign * value, job.number)

    return sorted(jobs, key=sort_key)


def best_jobs(ranked: Sequence[Job]) -> list[Job]:
    """Return the best job, and those whose displayed value is the same. Empty if no job has a value."""
    metric, _ = monitor_of_jobs(ranked)
    candidates = [job for job in ranked if job.status != "failed"]
    best = _format_value(metric, candidates[0].summary.get(metric)) if candidates else ""
    return [job for job in candidates if best and _format_value(metric, job.summary.get(metric)) == best]


def summary_columns(jobs: Sequence[Job]) -> list[str]:
    """Return the columns of the summaries to show: the monitored metric first, then a few other validation metrics."""
    names = [name for name in dict.fromkeys(name for job in jobs for name in job.summary) if name.startswith("val_")]
    plain = [name for name in names if not name.endswith(("_low", "_high")) and "_by_" not in name]
    return list(dict.fromkeys([monitor_of_jobs(jobs)[0], VALIDATION_LOSS, *plain[:_MAX_METRICS], *_COLUMNS]))


def override_values(job: Job) -> dict[str, str]:
    """Return the job's overrides as values by key."""
    return {key.lstrip("+"): value for key, _, value in (word.partition("=") for word in job.overrides)}


def print_table(jobs: Sequence[Job]) -> None:
    """Print the comparison to standard output."""
    keys, columns = swept_keys(jobs), summary_columns(jobs)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("job", *keys, *columns, "status", "folder"):
        table.add_column(_printable_text(column), overflow="fold")
    for job in rank_jobs(jobs):
        values = (override_values(job).get(key, "") for key in keys)
        table.add_row(
            *map(_printable_text, (str(job.number), *values, *_format_cells(job, columns), _format_status(job), str(job.folder)))
        )
    make_console(width=max(make_console().width, 160), markup=False).print(table)


def _printable_text(text: str) -> Text:
    """Make text safe for a terminal: no markup, control characters escaped."""
    return Text("".join(character if character.isprintable() else ascii(character)[1:-1] for character in text))


def write_page(sweep: Path, jobs: Sequence[Job]) -> Path:
    """Write `sweep.html` into the sweep's folder: one self-contained page that links to the pages of the runs."""
    ranked, keys, (metric, mode) = rank_jobs(jobs), swept_keys(jobs), monitor_of_jobs(jobs)
    what = _heading(metric)
    finished = sum(job.status == "finished" for job in jobs)
    best = best_jobs(ranked)
    facts = [(f"{finished} of {len(jobs)}", "jobs finished")]
    order = f"{'lowest' if mode == 'min' else 'highest'} {what} first"
    lead = f"{len(jobs)} runs, {order}. A job's number links to its report."
    if best:
        who = f"job {best[0].number}" if len(best) == 1 else f"a tie of {len(best)} jobs"
        facts.insert(0, (_format_value(metric, best[0].summary[metric]), f"best {what}, {who}"))
        values = {key: {override_values(job).get(key, "-") for job in best} for key in keys}
        facts += [(options.pop(), f"{key} of the best") for key, options in values.items() if len(options) == 1]
    common = {word for word in jobs[0].overrides if all(word in job.overrides for job in jobs)}
    names = [", ".join(override_values(job).get(key, "-") for key in keys) for job in ranked]
    charts = [
        scatter_chart(what, key, [(override_values(job).get(key, "-"), job.summary.get(metric)) for job in ranked], len(best))
        for key in keys
    ]
    columns = summary_columns(ranked)
    text = render(
        "comparison.html",
        title=f"Sweep {sweep.name}",
        lead=lead,
        tiles=facts,
        headings=["job", *keys, *map(_heading, columns), "status"],
        rows=[_row(sweep, job, keys, columns, job in best) for job in ranked],
        metric=what.capitalize(),
        curves=training_curves_chart(what, metric, ranked, names, keys, len(best)),
        charts=[chart for chart in charts if chart is not None],
        common=" ".join(sorted(common)),
    )
    path = sweep / "sweep.html"
    with wrap_os_errors(path):
        sweep.mkdir(parents=True, exist_ok=True)
    write_file(path, text)
    return path


def _row(sweep: Path, job: Job, keys: Sequence[str], columns: Sequence[str], is_best: bool) -> dict[str, object]:
    values = [override_values(job).get(key, "") for key in keys]
    return {
        "name": str(job.number),
        "link": _link(sweep, job),
        "kind": "best" if is_best else job.status,
        "cells": [*values, *_format_cells(job, columns), _format_status(job)],
    }


def _heading(column: str) -> str:
    return _HEADINGS.get(column, column.replace("val_", "validation ", 1).replace("_", " "))


def _link(sweep: Path, job: Job) -> str:
    """Returns the address of the run's report, or of the job's log; empty if there is neither."""
    for name in ("report.html", job.log.name):
        if (job.folder / name).is_file():
            return quote(os.fsencode((job.folder / name).relative_to(sweep).as_posix()))
    return ""


def _format_status(job: Job) -> str:
    return f"{job.status}: {job.error}" if job.error else job.status


def _format_cells(job: Job, columns: Sequence[str]) -> list[str]:
    return [_format_value(column, job.summary.get(column)) + _format_interval(column, job.summary) for column in columns]


def _format_interval(column: str, summary: Mapping[str, object]) -> str:
    low, high = (summary.get(f"{column}_{end}") for end in ("low", "high"))
    both = isinstance(low, int | float) and isinstance(high, int | float)
    return f" ({low:.3f} to {high:.3f})" if both else ""


def _format_value(column: str, value: object) -> str:
    if not isinstance(value, (int, float)):
        return ""
    if column == "wall_seconds":
        return f"{value:,.1f} s" if value < 120 else f"{value / 60:,.1f} min"
    return f"{value:.4f}" if column.endswith("loss") or column not in _COLUMNS else f"{value:,.0f}"
