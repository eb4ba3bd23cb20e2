"""The calibration of multiple choice on a page, as a reliability diagram: of one evaluation, or of several on one plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gptkit.evaluation.calibration import BRIER, EQUAL_MASS, EQUAL_WIDTH, ERROR
from gptkit.evaluation.page.content import TEMPLATES, Evaluation, Section
from gptkit.evaluation.report import format_value
from gptkit.page.chart_svg import chart_svg
from gptkit.page.charts import Chart, Series
from gptkit.page.html_page import fragment

SIZE = (420, 340)
"""Width and height of the diagram in CSS pixels."""
X = "probability"
NAMES = {ERROR: "expected calibration error", f"{ERROR}_{EQUAL_MASS}": "with bins of equal mass", BRIER: "Brier score"}


def calibration_section(evaluation: Evaluation) -> Section | None:
    """Return the reliability diagram and its numbers; None if the task does not choose one of several options."""
    calibration = evaluation.results.get("calibration")
    if not calibration:
        return None
    return reliability_section({"": calibration})


def reliability_section(calibrations: Mapping[str, Mapping[str, Any]], drawing_name: str = "reliability") -> Section:
    """Return one plot and one table of bins for several models, such as before and after PPO (GPT-4's report, figure 8).

    Args:
        calibrations: the section `calibration` of results.json by the name of the model; the name may be empty if there is one.
        drawing_name: a name of the plot that is unique in the page.
    """
    chart = reliability_chart(calibrations)
    models: list[dict[str, Any]] = [
        {
            "name": name,
            "color": number,
            "metrics": [(NAMES.get(key, key), _value(metric), _interval(metric)) for key, metric in content["metrics"].items()],
            "bins": [_row(each) for each in _filled(content["bins"][EQUAL_WIDTH])],
            "options": f"{content['options']:,}",
        }
        for number, (name, content) in enumerate(calibrations.items())
    ]
    legend = [{"label": model["name"], "color": model["color"]} for model in models]
    drawing = chart_svg(chart, drawing_name, SIZE)
    html = fragment("calibration.html", templates=TEMPLATES, drawing=drawing, models=models, legend=legend)
    return Section("Calibration", html)


def reliability_chart(calibrations: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Return the share of right options against their mean probability, per bin of equal width, and the line of equality."""
    ends = np.array([0.0, 1.0])
    series: list[Series] = [Series("perfect calibration", {X: ends}, ends, color=9, is_faint=True)]
    for number, (name, content) in enumerate(calibrations.items()):
        bins = _filled(content["bins"][EQUAL_WIDTH])
        x, y = (np.array([each[key] for each in bins], dtype=np.float64) for key in ("probability", "frequency"))
        series.append(Series(name or "options", {X: x}, y, color=number))
    return Chart("Reliability", series, from_zero=True, x_names={X: "mean probability of the options of a bin"})


def _filled(bins: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for each in bins if each["options"]]


def _row(each: Mapping[str, Any]) -> list[str]:
    values = [f"{each[key]:.3f}" for key in ("probability", "frequency")]
    return [f"{each['low']:.1f} to {each['high']:.1f}", f"{each['options']:,}", *values]


def _value(metric: Mapping[str, Any]) -> str:
    return "" if metric["value"] is None else format_value(metric["value"])


def _interval(metric: Mapping[str, Any]) -> str:
    low, high = metric.get("low"), metric.get("high")
    return "" if low is None or high is None else f"{format_value(low)} to {format_value(high)}"
