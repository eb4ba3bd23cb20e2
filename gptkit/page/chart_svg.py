"""Charts as static SVG in the colours of the page that holds them, and a run's main curves as one PNG."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gptkit.page.charts import FEW, X_AXES, Chart, Series
from gptkit.page.numbers import format_count, thin
from gptkit.page.svg import escape_text, inline_svg

COLORS = 10
"""Series beyond this many repeat the colours, with dashes."""

WIDE, NARROW = (860, 300), (300, 210)
"""Sizes in CSS pixels: drawings are shown at this size, so that all text has one size."""

_FONT = 11
_STATIC_POINTS = 240

# colours that the style sheet replaces, so that one drawing suits a light and a dark page
_INK, _MUTED, _GRID = "#010203", "#020304", "#030405"
_SERIES = [f"#0405{number:02x}" for number in range(COLORS)]
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _GRID: "--grid", **{color: f"--series-{n}" for n, color in enumerate(_SERIES)}}
_ON_WHITE = {_INK: "#1c2530", _MUTED: "#5b6673", _GRID: "#dfe4ea", _SERIES[0]: "#2563c9", _SERIES[1]: "#c2410c"}
_DASHES: list[Any] = ["-", (0, (5, 2)), (0, (1.5, 1.5))]


def chart_svg(chart: Chart, name: str, size: tuple[int, int]) -> Markup:
    """Draw a chart as inline SVG.

    Args:
        chart: the chart.
        name: a name that is unique in the page.
        size: width and height in CSS pixels.
    """
    with _style(hashsalt=name), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser's font draws the text
        axes = _axes_with_margins(size)
        _draw(axes, chart, _STATIC_POINTS if len(chart.series) < COLORS else _STATIC_POINTS // 2)
        label = f"{chart.title}. The values are in the table below the chart."
        return inline_svg(axes.figure, name, label, _VARIABLES)


def write_png(charts: list[Chart], path: Path, title: str) -> None:
    """Draw charts side by side on white."""
    from matplotlib.figure import Figure

    with _style(hashsalt="curves"):
        figure = Figure(figsize=(11.0, 3.2), layout="constrained")
        all_axes = figure.subplots(1, len(charts), width_ratios=[1.6, *[1] * (len(charts) - 1)], squeeze=False)[0]
        for axes, chart in zip(all_axes, charts, strict=True):
            _draw(axes, chart, 500)
            axes.set_title(escape_text(chart.title), color=_INK, fontsize=_FONT, loc="left")
            if sum(not series.is_faint for series in chart.series) > 1:
                axes.legend(frameon=False, labelcolor=_INK, fontsize=9)
        figure.suptitle(escape_text(title, 150), color=_INK, fontsize=_FONT, x=0.01, ha="left")
        for artist in figure.findobj():
            _recolor(artist)
        figure.savefig(path, format="png", dpi=160, facecolor="white")


def _draw(axes: Any, chart: Chart, points: int) -> None:
    x_name = chart.axes[0]
    for series in chart.series:
        _draw_series(axes, series, x_name, points)
    if chart.is_logarithmic:
        axes.set_yscale("log")
    elif (limits := chart.limits) is not None:
        axes.set_ylim(limits.low, limits.high)
    if chart.reference is not None:
        label, value = chart.reference
        bottom, top = axes.get_ylim()
        if bottom < value < top:
            axes.axhline(value, color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
            axes.text(0.99, value, label, transform=axes.get_yaxis_transform(), color=_MUTED, fontsize=_FONT, ha="right", va="top")
    _format_axes(axes, chart, x_name)


def _draw_series(axes: Any, series: Series, x_name: str, points: int) -> None:
    color, dash = _SERIES[series.color % COLORS], _DASHES[series.color // COLORS % len(_DASHES)]
    kept = thin(series.y, points)
    x, y = series.x[x_name][kept], series.y[kept]
    if series.low is not None and series.high is not None:
        axes.fill_between(x, series.low[kept], series.high[kept], color=color, alpha=0.2, linewidth=0)
    if series.is_faint:
        axes.plot(x, y, color=color, alpha=0.3, linewidth=0.8)
    elif series.is_line:
        few = len(series.y) < FEW
        axes.plot(x, y, color=color, linestyle=dash, linewidth=1.6, marker="o" if few else None, markersize=4, label=series.label)
    else:
        axes.plot(x, y, color=color, linestyle="none", marker="o", markersize=6)


def _style(*, hashsalt: str) -> Any:
    import matplotlib

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": hashsalt, "font.size": _FONT, "axes.formatter.useoffset": False}
    return matplotlib.rc_context({**settings, "axes.spines.top": False, "axes.spines.right": False})


def _axes_with_margins(size: tuple[int, int]) -> Any:
    """Make axes with fixed margins, since an automatic layout draws everything twice. A unit of the SVG is a pixel."""
    from matplotlib.figure import Figure

    (width, height), (left, bottom, right, top) = size, (50, 42, 14, 8)
    area = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return Figure(figsize=(width / 72, height / 72)).add_axes(area)


def _format_axes(axes: Any, chart: Chart, x_name: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    in_words = FuncFormatter(lambda value, _: format_count(value).replace(" ", ""))

    axes.grid(True, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(escape_text(chart.x_names.get(x_name) or X_AXES[x_name]), color=_MUTED, fontsize=_FONT)
    if chart.has_log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(in_words)
    elif chart.categories:
        axes.set_xticks(range(len(chart.categories)), [escape_text(name, 16) for name in chart.categories])
        axes.margins(x=0.25)
    else:
        axes.xaxis.set_major_formatter(in_words)
        axes.xaxis.set_major_locator(MaxNLocator(6 if axes.figure.get_figwidth() > 6 else 4))
    axes.tick_params(colors=_MUTED, length=0, which="both", labelcolor=_MUTED, labelsize=_FONT)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(in_words)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        bottom, top = axes.get_ylim()
        if max(abs(bottom), abs(top)) >= 1000 or max(abs(bottom), abs(top)) < 1e-3:
            axes.yaxis.set_major_formatter(in_words)


def _recolor(artist: Any) -> None:
    from matplotlib.colors import same_color

    for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
        get, put = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
        if get is None or put is None:
            continue
        now = get()
        for color, on_white in _ON_WHITE.items():
            try:
                if same_color(now, color):
                    put(on_white)
            except (ValueError, TypeError):
                break
