"""The charts of runs: which metrics they show, and how curves of several runs are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gptkit.page.charts import Chart, Series
from gptkit.page.numbers import can_be_logarithmic
from gptkit.training.reporting.curves import Curves, smooth

MAX_EXTRA = 24
"""Maximum number of charts of further metrics on a page."""

_USUAL = ("loss", "lr", "grad_norm", "tokens_per_second")
_TITLES = {
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
    "lr": "Learning rate",
    "grad_norm": "Gradient norm, before clipping",
    "tokens_per_second": "Tokens per second",
}
_ABBREVIATIONS = {"kl": "KL", "f1": "F1", "ppo": "PPO", "ptx": "PTX", "sft": "SFT", "lm": "LM"}
_NOISY = ("train/", "grad_norm", "tokens_per_second")


def metric_title(column: str) -> str:
    """Return the displayed name of a column of metrics.csv: val/accuracy is the validation accuracy."""
    if column in _TITLES:
        return _TITLES[column]
    words = column.replace("train/", "training ", 1) if column.startswith("train/") else column.replace("val/", "validation ", 1)
    return _capitalize(" ".join(_ABBREVIATIONS.get(word, word) for word in words.replace("_", " ").split(" ")))


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def series_of(
    curves: Curves, column: str, label: str, *, color: int = 0, smoothed: bool = False, is_faint: bool = False
) -> Series | None:
    """Return the curve of a column, with its interval if the run has logged one; None if it has no value."""
    _, values = curves.pair(column)
    if not len(values):
        return None
    low, high = (curves.column_at(f"{column}_{end}", column) for end in ("low", "high"))
    has_interval = bool(np.isfinite(low).all() and np.isfinite(high).all())
    return Series(
        label,
        curves.x_at(column),
        smooth(values) if smoothed else values,
        low if has_interval else None,
        high if has_interval else None,
        color=color,
        is_faint=is_faint,
    )


def metric_columns(curves: Sequence[Curves]) -> list[str]:
    """Return the columns in which at least one run has values, without axes and bounds of intervals."""
    names = dict.fromkeys(name for each in curves for name in each.columns)
    bounds = {f"{name}_{end}" for name in names for end in ("low", "high")}
    names = dict.fromkeys(name for name in names if name not in bounds and name not in ("step", "tokens", "wall_seconds"))
    return [name for name in names if any(np.isfinite(each.columns.get(name, np.empty(0))).any() for each in curves)]


def run_charts(curves: Curves, guessing: float | None) -> list[Chart]:
    """Return the charts of a run: the usual ones, and one for each further metric.

    Args:
        curves: the curves of the run.
        guessing: the loss of uniform probabilities over the vocabulary; None for a loss that is not over tokens.
    """
    reference = None if guessing is None else ("guessing, ln V", guessing)
    loss = _both_splits(curves, "loss", "Loss", is_wide=True, reference=reference)
    charts = [loss, _usual_chart(curves, "tokens_per_second", from_zero=True)]
    charts += [_usual_chart(curves, "grad_norm"), _usual_chart(curves, "lr", from_zero=True)]
    names = dict.fromkeys(name.removeprefix("train/").removeprefix("val/") for name in metric_columns([curves]))
    charts += [_both_splits(curves, name, metric_title(name)) for name in names if name not in _USUAL]
    return [chart for chart in charts if chart is not None]


def _usual_chart(curves: Curves, column: str, *, from_zero: bool = False) -> Chart | None:
    series = _raw_and_smooth(curves, column, _TITLES[column].lower())
    is_logarithmic = column == "grad_norm" and can_be_logarithmic([each.y for each in series])
    return Chart(_TITLES[column], series, from_zero=from_zero, is_logarithmic=is_logarithmic) if series else None


def _both_splits(
    curves: Curves, name: str, title: str, *, is_wide: bool = False, reference: tuple[str, float] | None = None
) -> Chart | None:
    """Return training and validation in one chart, or a metric that belongs to neither."""
    series = _raw_and_smooth(curves, f"train/{name}", "training")
    validation = series_of(curves, f"val/{name}", "validation", color=1 if series else 0)
    series += [validation] if validation is not None else []
    if not series:
        series = _raw_and_smooth(curves, name, name)
    if not series or (max(len(each.y) for each in series) < 2 and not is_wide):
        return None
    if len(series) == 1 and series[0].label in ("training", "validation") and not is_wide:
        title = _capitalize(f"{series[0].label} {title[:1].lower() if title[1:2].islower() else title[:1]}{title[1:]}")
    return Chart(title, series, is_wide=is_wide, reference=reference)


def _raw_and_smooth(curves: Curves, column: str, label: str) -> list[Series]:
    """Return a long, noisy curve twice, faint and as its running mean; any other curve once."""
    count = len(curves.pair(column)[1])
    is_noisy = column.startswith(_NOISY) and count >= 100
    both = [series_of(curves, column, label, smoothed=is_noisy)]
    if is_noisy:
        both.insert(0, series_of(curves, column, f"{label}, every logged step", is_faint=True))
    return [each for each in both if each is not None]


def comparison_charts(runs: Sequence[tuple[str, Curves]], first: str) -> list[Chart]:
    """Return one chart per metric, with a curve of each run that has it.

    Args:
        runs: label and curves of each run.
        first: the column of the first chart.
    """
    columns = metric_columns([curves for _, curves in runs])
    order = list(dict.fromkeys(name for name in (first, "val/loss", "train/loss", *columns) if name in columns))
    charts = []
    for number, column in enumerate(order):
        is_noisy = column.startswith(_NOISY)
        series = [series_of(curves, column, label, color=color, smoothed=is_noisy) for color, (label, curves) in enumerate(runs)]
        known = [each for each in series if each is not None]
        if max(len(each.y) for each in known) < 2 and number:
            continue
        is_logarithmic = column == "grad_norm" and can_be_logarithmic([each.y for each in known])
        is_smoothed = is_noisy and max(len(each.y) for each in known) >= 100
        note = "Running mean over a fiftieth of the points." if is_smoothed else ""
        from_zero = column in ("lr", "tokens_per_second")
        charts.append(
            Chart(metric_title(column), known, is_wide=number < 2, is_logarithmic=is_logarithmic, from_zero=from_zero, note=note)
        )
    return charts


def scatter_chart(title: str, key: str, points: Sequence[tuple[int, str, str, float]]) -> Chart | None:
    """Return a chart of a metric against a key of the configuration; None if fewer than two values of the key have one.

    Args:
        title: the title of the chart.
        key: the key of the configuration.
        points: colour, label, value of the key and metric of each run.
    """
    if len({value for _, _, value, _ in points}) < 2:
        return None
    positions, names = _positions([value for _, _, value, _ in points])
    series = [
        Series(label, {key: np.array([position])}, np.array([metric]), color=color, is_line=False)
        for (color, label, _, metric), position in zip(points, positions, strict=True)
    ]
    is_wide_range = not names and min(positions) > 0 and max(positions) >= 8 * min(positions)
    return Chart(title, series, categories=names, has_log_x=is_wide_range, x_names={key: key})


def _positions(values: Sequence[str]) -> tuple[list[float], list[str]]:
    """Return the positions of values on the axis, and their names if the values are not numbers."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = []
    if numbers and all(abs(number) <= 1e100 for number in numbers):
        return numbers, []
    names = sorted(set(values))
    return [float(names.index(value)) for value in values], names
