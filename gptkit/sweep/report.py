"""The table and the page at the end of a sweep: losses against the swept keys, best first, with links to the runs."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gptkit.sweep.jobs import LOSS, Job

_COLUMNS = (LOSS, "train_loss", "tokens", "tokens_per_second", "wall_seconds")


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """The keys whose values differ between jobs, in the order in which they were typed."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for key, value in _pairs(job).items():
            values.setdefault(key, set()).add(value)
    present = {key: sum(key in _pairs(job) for job in jobs) for key in values}
    return [key for key, found in values.items() if len(found) > 1 or present[key] < len(jobs)]


def best_first(jobs: Sequence[Job]) -> list[Job]:
    """Jobs by validation loss; those without one last."""
    return sorted(jobs, key=lambda job: (job.summary.get(LOSS) is None, job.summary.get(LOSS) or 0.0, job.number))


def print_table(jobs: Sequence[Job]) -> None:
    """The comparison, on standard output."""
    keys = swept_keys(jobs)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("job", *keys, *_COLUMNS, "status", "folder"):
        table.add_column(column, overflow="fold")
    for job in best_first(jobs):
        table.add_row(*_row(job, keys), job.status if not job.error else f"{job.status}: {job.error}", str(job.folder))
    Console(width=max(Console().width, 160)).print(table)


def write_page(folder: Path, jobs: Sequence[Job]) -> Path:
    """`sweep.html` in the sweep's folder: one self-contained page."""
    keys = swept_keys(jobs)
    head = "".join(f"<th>{html.escape(column)}</th>" for column in ("job", *keys, *_COLUMNS, "status"))
    rows = []
    for job in best_first(jobs):
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in _row(job, keys)[1:])
        link = html.escape(job.folder.relative_to(folder).as_posix() if job.folder.is_relative_to(folder) else str(job.folder))
        target = f"{link}/report.html" if (job.folder / "report.html").is_file() else f"{link}/log.txt"
        status = html.escape(job.status if not job.error else f"{job.status}: {job.error}")
        rows.append(f'<tr class="{job.status}"><td><a href="{target}">{job.number}</a></td>{cells}<td>{status}</td></tr>')
    picture = "".join(f'<img alt="validation loss against {html.escape(key)}" src="{_plot(key, jobs)}">' for key in keys)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "sweep.html"
    page.write_text(
        _PAGE.format(title=html.escape(folder.name), head=head, rows="\n".join(rows), picture=picture), encoding="utf-8"
    )
    return page


def _pairs(job: Job) -> dict[str, str]:
    return {key.lstrip("+"): value for key, _, value in (word.partition("=") for word in job.overrides)}


def _row(job: Job, keys: Sequence[str]) -> list[str]:
    pairs = _pairs(job)
    return [str(job.number), *(pairs.get(key, "") for key in keys), *(_shown(job.summary.get(column)) for column in _COLUMNS)]


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _plot(key: str, jobs: Sequence[Job]) -> str:
    """The loss against one swept key, as a data URI."""
    from matplotlib.figure import Figure

    points = [(_pairs(job).get(key, "-"), job.summary[LOSS]) for job in jobs if job.summary.get(LOSS) is not None]
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    try:
        numbers = [float(value) for value, _ in points]
    except ValueError:
        axes.plot([value for value, _ in points], [loss for _, loss in points], "o")
    else:
        axes.plot(numbers, [loss for _, loss in points], "o")
        if numbers and min(numbers) > 0 and max(numbers) / min(numbers) >= 8:
            axes.set_xscale("log")
    axes.set(xlabel=key, ylabel="validation loss (nats per token)")
    axes.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="svg")
    return "data:image/svg+xml;base64," + base64.b64encode(image.getvalue()).decode()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>sweep {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }}
tr.failed td {{ color: #a00; }}
img {{ max-width: 100%; margin: 1rem 1rem 0 0; }}
</style></head>
<body><h1>Sweep {title}</h1>
<p>Best first, by validation loss (nats per token). A number leads to the run's own report.</p>
<table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table>
{picture}
</body></html>
"""
