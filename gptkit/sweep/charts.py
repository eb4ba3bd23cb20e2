"""The drawings of a sweep's page, as inline SVG in the page's colours: losses against a swept key, and over tokens."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

from gptkit.sweep.jobs import Job
from gptkit.training.reporting.fault_tolerance import LARGEST_NUMBER
from gptkit.training.reporting.figures import escape_text, inline_svg
from gptkit.training.reporting.metrics_csv import read_metrics

_TEXT, _GRID, _BEST, _OTHERS = "#020304", "#030405", "#040506", "#050607"
_VARIABLES = {_TEXT: "--muted", _GRID: "--grid", _BEST: "--first", _OTHERS: "--second"}
_MOST = 12  # curves in one drawing: more cannot be told apart


def against(what: str, key: str, points: Sequence[tuple[str, float | None]], best: int = 1) -> str:
    """What every run is compared by, against its value of a key, the `best` first of them in the first colour."""
    known = [(value, loss) for value, loss in points if loss is not None]
    if not known:
        return ""
    losses = [loss for _, loss in known]
    axes = _axes((3.7, 2.6))
    places = _numbers([value for value, _ in known])
    if places is None:
        names = list(dict.fromkeys(value for value, _ in sorted(known)))
        places = [names.index(value) for value, _ in known]
        axes.set_xticks(range(len(names)), list(map(escape_text, names)))
        axes.margins(x=0.25)
    else:
        if min(places) > 0 and max(places) >= 8 * min(places):
            axes.set_xscale("log")
        elif len(set(places)) <= 6:
            axes.set_xticks(sorted(set(places)))
    axes.scatter(places[best:], losses[best:], color=_OTHERS, s=30, alpha=0.85)
    axes.scatter(places[:best], losses[:best], color=_BEST, s=55, zorder=3)
    return _figure(axes, f"{what.capitalize()} against {key}", key)


def over_tokens(what: str, measure: str, ranked: Sequence[Job], names: Sequence[str], keys: Sequence[str], best: int = 1) -> str:
    """What runs are compared by as they learned: the `best` first of them in the first colour, the worse the fainter.

    Args:
        what: it is, in words.
        measure: its name in summary.json.
        ranked: the runs, best first.
        names, keys: their values of the keys that differ, as one text each, and these keys.
        best: runs that are first.
    """
    column = measure.replace("val_", "val/", 1)
    curves = [(name, _curve(job, column)) for job, name in zip(ranked, names, strict=True)]
    drawn = [(name, curve) for name, curve in curves if len(curve) > 1][:_MOST]
    if not drawn:
        return ""
    axes = _axes((8.4, 3.2))
    for place, (name, curve) in enumerate(drawn):
        colour, strength = (_BEST, 1.0) if place < best else (_OTHERS, 1 - 0.75 * place / len(drawn))
        width = 1.8 if place < best else 1.3
        axes.plot(*zip(*curve, strict=True), color=colour, alpha=strength, linewidth=width, label=escape_text(name))
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
    return _figure(axes, f"{what.capitalize()} over tokens", "tokens", wide=True)


def _curve(job: Job, column: str) -> list[tuple[float, float]]:
    columns = read_metrics(job.folder)
    pairs = zip(columns["tokens"], columns.get(column, []), strict=False)
    return [(tokens, value) for tokens, value in pairs if math.isfinite(value)]


def _numbers(values: Sequence[str]) -> list[float] | None:
    """Values as numbers that can be drawn; None where one is none."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(abs(number) <= LARGEST_NUMBER for number in numbers) else None


def _axes(size: tuple[float, float]) -> Any:
    from matplotlib.figure import Figure

    axes = Figure(figsize=size, layout="constrained").subplots()
    axes.grid(True, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_TEXT, length=0, which="both", labelcolor=_TEXT, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GRID)
    return axes


def _figure(axes: Any, caption: str, label: str, *, wide: bool = False) -> str:
    import matplotlib

    axes.set_xlabel(escape_text(label), color=_TEXT, fontsize=9)
    name = re.sub(r"\W", "-", caption)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's own font draws the text
        text = inline_svg(axes.figure, name, caption, _VARIABLES)
    return f'<figure class="{"wide" if wide else "narrow"}"><figcaption>{escape(caption)}</figcaption>{text}</figure>'
