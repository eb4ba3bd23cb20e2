"""Which charts a page has, and how their curves are drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gptkit.page.chart_view import MAX_POINTS, chart_views
from gptkit.page.charts import Chart, Series
from gptkit.training.reporting.charts import comparison_charts, run_charts, scatter_chart
from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.report import read_curves
from tests.training.reporting.sample_runs import write_run


def test_training_and_validation_share_a_chart_and_intervals_are_bands(tmp_path: Path) -> None:
    charts = {chart.title: chart for chart in run_charts(read_curves(write_run(tmp_path / "a")), None)}
    assert [series.label for series in charts["Loss"].series] == ["training", "validation"]
    accuracy = charts["Validation accuracy"].series[0]
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert (set(accuracy.low), set(accuracy.y), set(accuracy.high)) == ({0.5}, {0.75}, {0.875})
    assert not [title for title in charts if "low" in title or "high" in title]


def test_a_long_noisy_curve_is_drawn_raw_and_as_its_running_mean(tmp_path: Path) -> None:
    loss = run_charts(read_curves(write_run(tmp_path / "a", steps=2000)), None)[0]
    raw, mean, _ = loss.series
    assert raw.is_faint
    assert np.diff(mean.y).std() < np.diff(raw.y).std() / 3


def test_runs_are_compared_on_axes_that_they_all_have(tmp_path: Path) -> None:
    first, second = (read_curves(write_run(tmp_path / name)) for name in "ab")
    chart = comparison_charts([("a", first), ("b", second)], "val/loss")[0]
    assert (chart.title, chart.axes) == ("Validation loss", ["tokens", "step", "wall_seconds"])
    without_time = Curves({name: values for name, values in second.columns.items() if name != "wall_seconds"})
    assert comparison_charts([("a", first), ("b", without_time)], "val/loss")[0].axes == ["tokens", "step"]


def test_a_curve_in_the_page_has_a_limited_number_of_points_and_keeps_its_extremes() -> None:
    values = np.sin(np.arange(30_000.0))
    values[12_345] = 7.0
    series = Series("a", {"step": np.arange(30_000.0)}, values)
    (view,) = chart_views([Chart("A", [series])])
    (data,) = view["data"]["series"]
    assert len(data["y"]) <= MAX_POINTS + 2
    assert max(data["y"]) == 7
    assert view["thinned_to"] == MAX_POINTS
    assert view["notes"] == ["Outside the axis: 1 value above 1.1."]
    assert view["values"][0]["cells"][2] == "7 at 12.3 k"


def test_few_points_are_marked_and_many_are_not() -> None:
    charts = [Chart("A", [Series("a", {"step": np.arange(float(count))}, np.ones(count))]) for count in (3, 100)]
    assert [view["data"]["series"][0]["few"] for view in chart_views(charts)] == [True, False]


def test_a_key_is_an_axis_of_numbers_or_of_names() -> None:
    numbers = scatter_chart("Loss against lr", "lr", [(0, "a", "1e-4", 2.0), (1, "b", "1e-2", 1.0)])
    assert numbers is not None
    assert ([each.x["lr"][0] for each in numbers.series], numbers.has_log_x) == ([1e-4, 1e-2], True)
    names = scatter_chart("Loss against model", "model", [(0, "a", "lstm", 2.0), (1, "b", "gpt", 1.0), (2, "c", "nan", 1.0)])
    assert names is not None
    assert names.categories == ["gpt", "lstm", "nan"]
    assert scatter_chart("Loss against lr", "lr", [(0, "a", "1", 2.0), (1, "b", "1", 1.0)]) is None


def test_a_metric_that_is_never_a_number_has_no_chart() -> None:
    nan = np.full(5, math.nan)
    curves = Curves({"step": np.arange(5.0), "tokens": np.arange(5.0), "train/loss": nan, "train/kl": nan})
    assert run_charts(curves, None) == []
