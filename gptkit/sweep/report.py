"""The end of a sweep: a table, and `sweep.html`, from what the jobs left in its folder, the best first.

Jobs are compared by validation loss, or by the metric that their objective names where the loss itself depends on settings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from rich.table import Table
from rich.text import Text

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.console import Console
from gptkit.sweep.charts import against, over_tokens
from gptkit.sweep.jobs import Job, jobs_in
from gptkit.training.reporting.html_page import page, tiles
from gptkit.training.reporting.summary import VALIDATION_LOSS, monitor_of

_COLUMNS = ("train_loss", "tokens", "tokens_per_second", "wall_seconds")
_MOST = 4
"""Validation metrics that are shown."""
_HEADINGS = {
    VALIDATION_LOSS: "validation loss",
    "train_loss": "training loss",
    "tokens_per_second": "tokens per second",
    "wall_seconds": "time",
}


def compare(sweep: Path, earlier: Mapping[Path, int]) -> None:
    """Print the table and write the page of a sweep's jobs; nothing where none has begun. `earlier`: see `jobs_in`."""
    jobs = jobs_in(sweep, earlier)
    if not jobs:
        return
    print_table(jobs)
    Console(stderr=True, soft_wrap=True, markup=False).print(
        _readable(f"The sweep's page is {write_page(sweep, jobs)}"), highlight=False
    )


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """The keys whose values differ between jobs, in the order in which they were typed."""
    keys = dict.fromkeys(key for job in jobs for key in pairs(job))
    return [key for key in keys if len({pairs(job).get(key) for job in jobs}) > 1]


def monitor_of_jobs(jobs: Sequence[Job]) -> tuple[str, str]:
    """The metric that all validated jobs are compared by, and its mode; the validation loss if they name different ones."""
    monitors = {monitor_of(job.summary) for job in jobs if job.summary.get(VALIDATION_LOSS) is not None}
    return monitors.pop() if len(monitors) == 1 else (VALIDATION_LOSS, "min")


def best_first(jobs: Sequence[Job]) -> list[Job]:
    """Jobs by what they are compared by; those without it last, and those that failed, whatever they had measured before."""
    measure, mode = monitor_of_jobs(jobs)
    sign = 1 if mode == "min" else -1

    def place(job: Job) -> tuple[float, int]:
        value = job.summary.get(measure)
        return (math.inf if value is None or job.status == "failed" else sign * value, job.number)

    return sorted(jobs, key=place)


def winners(ranked: Sequence[Job]) -> list[Job]:
    """The best job, with those whose measure is shown by the same digits: a tie. None where no job has been measured."""
    measure, _ = monitor_of_jobs(ranked)
    able = [job for job in ranked if job.status != "failed"]
    best = _shown(measure, able[0].summary.get(measure)) if able else ""
    return [job for job in able if best and _shown(measure, job.summary.get(measure)) == best]


def columns_of(jobs: Sequence[Job]) -> list[str]:
    """What of the summaries is shown: what jobs are compared by, and the first of what validations measured besides."""
    names = [name for name in dict.fromkeys(name for job in jobs for name in job.summary) if name.startswith("val_")]
    plain = [name for name in names if not name.endswith(("_low", "_high")) and "_by_" not in name]
    return list(dict.fromkeys([monitor_of_jobs(jobs)[0], VALIDATION_LOSS, *plain[:_MOST], *_COLUMNS]))


def pairs(job: Job) -> dict[str, str]:
    """The job's words by their keys."""
    return {key.lstrip("+"): value for key, _, value in (word.partition("=") for word in job.overrides)}


def print_table(jobs: Sequence[Job]) -> None:
    """The comparison, on standard output."""
    keys, columns = swept_keys(jobs), columns_of(jobs)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("job", *keys, *columns, "status", "folder"):
        table.add_column(_readable(column), overflow="fold")
    for job in best_first(jobs):
        values = (pairs(job).get(key, "") for key in keys)
        table.add_row(*map(_readable, (str(job.number), *values, *_cells(job, columns), _status(job), str(job.folder))))
    Console(width=max(Console().width, 160), markup=False).print(table)


def _readable(text: str) -> Text:
    """A text of the user's as a terminal is to show it: without markup, and with control characters spelt out."""
    return Text("".join(character if character.isprintable() else ascii(character)[1:-1] for character in text))


def write_page(sweep: Path, jobs: Sequence[Job]) -> Path:
    """`sweep.html` in the sweep's folder: one self-contained page with links to the runs' own."""
    ranked, keys, (measure, mode) = best_first(jobs), swept_keys(jobs), monitor_of_jobs(jobs)
    what = _heading(measure)
    done = sum(job.status == "finished" for job in jobs)
    best = winners(ranked)
    facts = [(f"{done} of {len(jobs)}", "jobs finished")]
    order = f"{'lowest' if mode == 'min' else 'highest'} {what} first"
    lead = f"{len(jobs)} runs, {order}. A number opens the run's own report."
    if best:
        who = f"job {best[0].number}" if len(best) == 1 else f"a tie of {len(best)} jobs"
        facts.insert(0, (_shown(measure, best[0].summary[measure]), f"best {what}, {who}"))
        values = {key: {pairs(job).get(key, "-") for job in best} for key in keys}
        facts += [(found.pop(), f"{key} of the best") for key, found in values.items() if len(found) == 1]
    common = {word for word in jobs[0].overrides if all(word in job.overrides for job in jobs)}
    names = [", ".join(pairs(job).get(key, "-") for key in keys) for job in ranked]
    curves = over_tokens(what, measure, ranked, names, keys, len(best))
    figures = [
        against(what, key, [(pairs(job).get(key, "-"), job.summary.get(measure)) for job in ranked], len(best)) for key in keys
    ]
    sections = [
        ("", tiles(facts)),
        ("Runs", _TABLE_STYLE + _table(sweep, ranked, keys)),
        (what.capitalize(), f'{curves}<div class="figures below">{"".join(figures)}</div>'),
        ("What all runs share", f"<pre>{escape(' '.join(sorted(common)))}</pre>" if common else ""),
    ]
    path = sweep / "sweep.html"
    with wrap_os_errors(path):
        sweep.mkdir(parents=True, exist_ok=True)
    write_file(path, page(f"Sweep {sweep.name}", lead, sections))
    return path


def _table(sweep: Path, ranked: Sequence[Job], keys: Sequence[str]) -> str:
    columns = columns_of(ranked)
    head = "".join(f"<th>{escape(name)}</th>" for name in ("job", *keys, *map(_heading, columns), "status"))
    rows, best = [], winners(ranked)
    for job in ranked:
        values = "".join(f"<td>{escape(cell)}</td>" for cell in (*(pairs(job).get(key, "") for key in keys), *_cells(job, columns)))
        kind = "best" if job in best else job.status
        rows.append(f'<tr class="{kind}"><td>{_link(sweep, job)}</td>{values}<td>{escape(_status(job))}</td></tr>')
    return f'<div class="runs"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _heading(column: str) -> str:
    return _HEADINGS.get(column, column.replace("val_", "validation ", 1).replace("_", " "))


def _link(sweep: Path, job: Job) -> str:
    for name in ("report.html", job.log.name):
        if (job.folder / name).is_file():
            return f'<a href="{quote(os.fsencode((job.folder / name).relative_to(sweep).as_posix()))}">{job.number}</a>'
    return str(job.number)


def _status(job: Job) -> str:
    return f"{job.status}: {job.error}" if job.error else job.status


def _cells(job: Job, columns: Sequence[str]) -> list[str]:
    return [_shown(column, job.summary.get(column)) + _interval(column, job.summary) for column in columns]


def _interval(column: str, summary: Mapping[str, object]) -> str:
    low, high = (summary.get(f"{column}_{end}") for end in ("low", "high"))
    both = isinstance(low, int | float) and isinstance(high, int | float)
    return f" ({low:.3f} to {high:.3f})" if both else ""


def _shown(column: str, value: object) -> str:
    if not isinstance(value, (int, float)):
        return ""
    if column == "wall_seconds":
        return f"{value:,.1f} s" if value < 120 else f"{value / 60:,.1f} min"
    return f"{value:.4f}" if column.endswith("loss") or column not in _COLUMNS else f"{value:,.0f}"


_TABLE_STYLE = """<style>
.runs { background: var(--card); border: 1px solid var(--grid); border-radius: .6rem; overflow-x: auto; }
.runs table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
.runs th { color: var(--muted); font-weight: 600; } .runs th, .runs td { text-align: left; padding: .45rem .8rem; }
.runs tbody tr { border-top: 1px solid var(--grid); } .runs a { color: var(--first); }
.runs td:not(:last-child) { white-space: nowrap; } .below { margin-top: .75rem; }
.runs .best td { font-weight: 600; color: var(--good); } .runs .failed td { color: var(--bad); }
.runs .stopped td, .runs .running td, .runs .waiting td { color: var(--muted); }
</style>"""
