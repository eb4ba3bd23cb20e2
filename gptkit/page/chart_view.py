"""Charts in the form that the template and the script of the page read: static SVG, data, and a table of a few values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gptkit.page.chart_svg import NARROW, WIDE, chart_svg
from gptkit.page.charts import FEW, X_AXES, Chart, Series
from gptkit.page.numbers import Values, format_count, thin

MAX_POINTS, MIN_POINTS, PAGE_POINTS = 600, 60, 45_000
"""Maximum number of points of a curve in the page, and of all curves of the page together."""


def chart_views(charts: Sequence[Chart], prefix: str = "chart") -> list[dict[str, Any]]:
    """Return the content of the template `charts.html` for each chart. The same charts always give the same result."""
    count = sum(len(chart.series) for chart in charts)
    points = max(MIN_POINTS, min(MAX_POINTS, PAGE_POINTS // max(count, 1)))
    return [_view(chart, f"{prefix}{number}", number, points) for number, chart in enumerate(charts)]


def _view(chart: Chart, name: str, number: int, points: int) -> dict[str, Any]:
    limits = chart.limits
    thinned = any(len(series.y) > points for series in chart.series)
    return {
        "number": number,
        "title": chart.title,
        "is_wide": chart.is_wide,
        "narrow_svg": chart_svg(chart, f"{name}-narrow", NARROW),
        "wide_svg": chart_svg(chart, f"{name}-wide", WIDE) if chart.is_wide else None,
        "legend": [{"label": s.label, "color": s.color} for s in chart.series if not s.is_faint],
        "x_label": chart.x_names.get(chart.axes[0]) or X_AXES[chart.axes[0]],
        "values": [_row(series, chart) for series in chart.series if not series.is_faint],
        "notes": [note for note in (chart.note, limits.note if limits else "") if note],
        "thinned_to": points if thinned else None,
        "data": _data(chart, points),
    }


def _data(chart: Chart, points: int) -> dict[str, Any]:
    limits = chart.limits
    return {
        "title": chart.title,
        "axes": [{"name": name, "label": chart.x_names.get(name) or X_AXES[name]} for name in chart.axes],
        "categories": list(chart.categories),
        "logarithmic": chart.is_logarithmic,
        "log_x": chart.has_log_x,
        "limits": [limits.low, limits.high] if limits else None,
        "clipped": bool(limits and (limits.above or limits.below)),
        "reference": list(chart.reference) if chart.reference else None,
        "series": [_series_data(series, chart, points) for series in chart.series],
    }


def _series_data(series: Series, chart: Chart, points: int) -> dict[str, Any]:
    kept = thin(series.y, points)
    bounds = None
    if series.low is not None and series.high is not None:
        bounds = [_numbers(series.low[kept]), _numbers(series.high[kept])]
    return {
        "label": series.label,
        "color": series.color,
        "faint": series.is_faint,
        "line": series.is_line,
        "few": len(series.y) < FEW,
        "x": [_numbers(series.x[name][kept], digits=8) for name in chart.axes],
        "y": _numbers(series.y[kept]),
        "band": bounds,
    }


def _numbers(values: Values, *, digits: int = 5) -> list[float | int]:
    """Round numbers to this many significant digits, which keeps the page small."""
    rounded = [float(f"{value:.{digits}g}") for value in values.tolist()]
    return [int(value) if value.is_integer() and abs(value) < 1e15 else value for value in rounded]


def _row(series: Series, chart: Chart) -> dict[str, Any]:
    """Return a few values of a curve, for readers who do not see the chart."""
    x, lowest, highest = series.x[chart.axes[0]], int(np.argmin(series.y)), int(np.argmax(series.y))
    last = len(series.y) - 1

    def cell(index: int) -> str:
        position = chart.categories[int(x[index])] if chart.categories else format_count(float(x[index]))
        text = f"{series.y[index]:.4g}"
        if series.low is not None and series.high is not None:
            text += f" ({series.low[index]:.4g} to {series.high[index]:.4g})"
        return f"{text} at {position}"

    return {"label": series.label, "color": series.color, "cells": [cell(index) for index in (0, lowest, highest, last)]}
