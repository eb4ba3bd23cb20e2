"""The charts of a sweep's page, as inline SVG in the page's colours: a metric against a swept key, and over tokens."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

from gptkit.sweep.jobs import Job
from gptkit.training.reporting.fault_tolerance import LARGEST_NUMBER
from gptkit.training.reporting.figures import escape_text, inline_svg
from gptkit.training.reporting.html_page import Drawing
from gptkit.training.reporting.metrics_csv import read_metrics

_TEXT, _GRID, _BEST, _OTHERS = "#020304", "#030405", "#040506", "#050607"
_VARIABLES = {_TEXT: "--muted", _GRID: "--grid", _BEST: "--first", _OTHERS: "--second"}
_MAX_CURVES = 12  # more curves in one chart cannot be told apart


def scatter_chart(what: str, key: str, points: Sequence[tuple[str, float | None]], best: int = 1) -> Drawing | None:
    """Plot the metric of every run against its value of a key, with the first `best` runs highlighted."""
    known = [(value, loss) for value, loss in points if loss is not None]
    if not known:
        return None
    losses = [loss for _, loss in known]
    axes = _make_axes((3.7, 2.6))
    positions = _as_numbers([value for value, _ in known])
    if positions is None:
        names = list(dict.fromkeys(value for value, _ in sorted(known)))
        positions = [names.index(value) for value, _ in known]
        axes.set_xticks(range(len(names)), list(map(escape_text, names)))
        axes.margins(x=0.25)
    else:
        if min(positions) > 0 and max(positions) >= 8 * min(positions):
            axes.set_xscale("log")
        elif len(set(positions)) <= 6:
            axes.set_xticks(sorted(set(positions)))
    axes.scatter(positions[best:], losses[best:], color=_OTHERS, s=30, alpha=0.85)
    axes.scatter(positions[:best], losses[:best], color=_BEST, s=55, zorder=3)
    return _drawing(axes, f"{what.capitalize()} against {key}", key)


def training_curves_chart(
    what: str, metric: str, ranked: Sequence[Job], names: Sequence[str], keys: Sequence[str], best: int = 1
) -> Drawing | None:
    """Plot the metric of the runs over training, with the first `best` runs highlighted and worse runs fainter.

    Args:
        what: the metric in words.
        metric: its name in summary.json.
        ranked: the runs, best first.
        names: the values of the swept keys of each run, as one text.
        keys: the swept keys.
        best: number of runs that share the first place.
    """
    column = metric.replace("val_", "val/", 1)
    curves = [(name, _read_curve(job, column)) for job, name in zip(ranked, names, strict=True)]
    visible = [(name, curve) for name, curve in curves if len(curve) > 1][:_MAX_CURVES]
    if not visible:
        return None
    axes = _make_axes((8.4, 3.2))
    for rank, (name, curve) in enumerate(visible):
        color, alpha = (_BEST, 1.0) if rank < best else (_OTHERS, 1 - 0.75 * rank / len(visible))
        width = 1.8 if rank < best else 1.3
        axes.plot(*zip(*curve, strict=True), color=color, alpha=alpha, linewidth=width, label=escape_text(name))
    legend = axes.legend(
        frameon=False,
        fontsize=8,
        labelcolor=_TEXT,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        title=escape_text(", ".join(keys)),
    )
    legend.get_title().set(color=_TEXT, fontsize=8)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return _drawing(axes, f"{what.capitalize()} over tokens", "tokens")


def _read_curve(job: Job, column: str) -> list[tuple[float, float]]:
    columns = read_metrics(job.folder)
    pairs = zip(columns["tokens"], columns.get(column, []), strict=False)
    return [(tokens, value) for tokens, value in pairs if math.isfinite(value)]


def _as_numbers(values: Sequence[str]) -> list[float] | None:
    """Parse values as numbers; None if one cannot be plotted as a number."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(abs(number) <= LARGEST_NUMBER for number in numbers) else None


def _make_axes(size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure

    axes = Figure(figsize=size, layout="constrained").subplots()
    axes.grid(True, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_TEXT, length=0, which="both", labelcolor=_TEXT, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GRID)
    return axes


def _drawing(axes: Any, caption: str, label: str) -> Drawing:
    import matplotlib

    axes.set_xlabel(escape_text(label), color=_TEXT, fontsize=9)
    name = re.sub(r"\W", "-", caption)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser's font renders the text
        return Drawing(caption, inline_svg(axes.figure, name, caption, _VARIABLES))
