"""The curves of a run: as inline SVG in the colours of the page that holds them, and as one PNG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from gptkit.training.reporting.figures import escape_text, inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.float64]

POINTS = 500
"""A curve is drawn with at most about this many points, however long the run was."""

# colours that the page's style sheet replaces, so that one drawing suits a light and a dark page
INK, MUTED, GRID, FIRST, SECOND = "#010203", "#020304", "#030405", "#040506", "#050607"
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", FIRST: "--first", SECOND: "--second"}
_ON_WHITE = {INK: "#1c2530", MUTED: "#66717f", GRID: "#dfe4ea", FIRST: "#2563c9", SECOND: "#d9622b"}


def format_count(number: float) -> str:
    """A large number as people say it: 124 M."""
    for limit, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g}"


@dataclass(frozen=True)
class Curves:
    """What metrics.csv says, by column, as arrays of equal length with NaN where a row has no value."""

    columns: dict[str, Values]

    def pair(self, name: str) -> tuple[Values, Values]:
        """(tokens, values) of the rows that have the column and a finite value."""
        values = self.columns.get(name, np.empty(0))
        tokens = self.columns.get("tokens", np.empty(0))[: len(values)]
        known = np.isfinite(values)
        return tokens[known], values[known]


def smooth(values: Values) -> Values:
    """Returns a running mean over about a fiftieth of the points; windows shrink at the ends, so that a steep fall stays sharp."""
    count = len(values)
    half = count // 100
    if not half:
        return values
    index = np.arange(count)
    low = index - np.minimum(index, half)
    high = np.minimum(index + np.minimum(index, half), count - 1) + 1
    sums = np.concatenate([[0.0], np.cumsum(values)])
    mean: Values = (sums[high] - sums[low]) / (high - low)
    return mean


def downsample(tokens: Values, values: Values) -> tuple[Values, Values]:
    """At most about POINTS points, the lowest and the highest of every stretch among them, so that spikes stay."""
    if len(values) <= POINTS:
        return tokens, values
    indices = [0, len(values) - 1]
    for stretch in np.array_split(np.arange(len(values)), POINTS // 2):
        indices += [int(stretch[np.argmin(values[stretch])]), int(stretch[np.argmax(values[stretch])])]
    order = np.unique(indices)
    return tokens[order], values[order]


def loss_figure(axes: Axes, curves: Curves, guessing: float | None) -> None:
    """Training loss, raw and smoothed, and validation loss over tokens; `guessing` is the loss of equal odds for every token."""
    tokens, train = curves.pair("train/loss")
    val_tokens, val = curves.pair("val/loss")
    if len(train):
        axes.plot(*downsample(tokens, train), color=FIRST, alpha=0.3, linewidth=0.8)
        axes.plot(*downsample(tokens, smooth(train)), color=FIRST, linewidth=1.6, label="training")
    if len(val):
        axes.plot(val_tokens, val, color=SECOND, linewidth=1.6, marker="o", markersize=3, label="validation")
    seen = np.concatenate([train, val])
    if len(seen) > 1:
        # of a long run the first fall is cut off, or it would leave no room for what comes after
        top = np.quantile(train, 0.97) if len(train) >= 100 else seen.max()
        low, high = float(seen.min()), float(max([top, *val]))
        if guessing is not None and high > 0.7 * guessing:
            high = max(high, guessing)
            axes.axhline(guessing, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), label="guessing, ln V")
        margin = 0.06 * (high - low) or 0.1
        axes.set_ylim(low - margin, high + margin)
    if axes.lines:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9, loc="upper right", bbox_to_anchor=(1, 0.93))


def line_figure(name: str, *, from_zero: bool = False, log: bool = False, smoothed: bool = False) -> Callable[[Axes, Curves], None]:
    """A drawing of one column over tokens."""

    def draw(axes: Axes, curves: Curves) -> None:
        tokens, values = curves.pair(name)
        if not len(values):
            return
        if smoothed:
            axes.plot(*downsample(tokens, values), color=FIRST, alpha=0.3, linewidth=0.8)
            axes.plot(*downsample(tokens, smooth(values)), color=FIRST, linewidth=1.6)
        else:
            axes.plot(
                *downsample(tokens, values), color=FIRST, linewidth=1.4, marker="o" if len(values) < 12 else None, markersize=3
            )
        if log and values.min() > 0 and values.max() > 20 * values.min():
            axes.set_yscale("log")
        elif from_zero:
            axes.set_ylim(0, max(float(values.max()) * 1.15, 1e-12))

    return draw


@dataclass(frozen=True)
class RunFigure:
    """One figure of the report."""

    title: str
    draw: Callable[[Any, Curves], None]
    wide: bool = False


def run_figures(curves: Curves, guessing: float | None) -> list[RunFigure]:
    """The figures of a run: the usual ones, and one for whatever else its objective, and its tasks along the way, measured."""
    figures = [RunFigure("Loss", lambda axes, curves: loss_figure(axes, curves, guessing), wide=True)]
    if len(curves.pair("tokens_per_second")[1]):  # reinforcement's tokens are no measure of speed
        figures.append(RunFigure("Tokens per second", line_figure("tokens_per_second", from_zero=True, smoothed=True)))
    figures += [
        RunFigure("Gradient norm, before clipping", line_figure("grad_norm", log=True, smoothed=True)),
        RunFigure("Learning rate", line_figure("lr", from_zero=True)),
    ]
    usual = {"train/loss", "val/loss"}
    extra = [name for name in curves.columns if name.startswith(("train/", "val/", "zero_shot/")) and name not in usual]
    figures += [RunFigure(name, line_figure(name)) for name in extra[:8] if len(curves.pair(name)[1]) > 1]
    return figures


WIDE, NARROW = (8.4, 3.2), (3.7, 2.4)
"""Sizes in inches that give text its natural size on a desktop's whole width, and in a column or on a phone."""


def figure_svg(run_figure: RunFigure, curves: Curves, name: str, size: tuple[float, float] = NARROW) -> Markup:
    """A figure as inline SVG: as wide as its place, text as text, colours as the page's variables. `name` is unique in the page."""
    with _style(hashsalt=name):
        axes = _figure_with_margins(size)
        run_figure.draw(axes, curves)
        _format_axes(axes)
        return inline_svg(axes.figure, name, run_figure.title, _VARIABLES)


def write_png(curves: Curves, guessing: float | None, path: Path, title: str) -> None:
    """Loss, speed and gradient norm side by side on white."""
    from matplotlib.figure import Figure

    figures = run_figures(curves, guessing)[:3]
    with _style(hashsalt="curves"):
        figure = Figure(figsize=(11.0, 3.2), layout="constrained")
        all_axes = figure.subplots(1, len(figures), width_ratios=[1.6, 1, 1])
        for axes, run_figure in zip(all_axes, figures, strict=True):
            run_figure.draw(axes, curves)
            _format_axes(axes)
            axes.set_title(escape_text(run_figure.title), color=INK, fontsize=10, loc="left")
        figure.suptitle(escape_text(title, 150), color=INK, fontsize=11, x=0.01, ha="left")
        for artist in figure.findobj():
            _recolour(artist)
        figure.savefig(path, format="png", dpi=160, facecolor="white")


def _style(*, hashsalt: str) -> Any:
    import matplotlib

    return matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": hashsalt, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    )


def _figure_with_margins(size: tuple[float, float]) -> Any:
    """Axes with margins of fixed inches: laying them out by what they hold draws everything twice."""
    from matplotlib.figure import Figure

    (width, height), (left, bottom, right, top) = size, (0.6, 0.46, 0.1, 0.08)
    area = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return Figure(figsize=size).add_axes(area)


def _format_axes(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    in_words = FuncFormatter(lambda value, _: format_count(value).replace(" ", ""))

    axes.grid(True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("tokens", color=MUTED)
    axes.xaxis.set_major_formatter(in_words)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(colors=MUTED, length=0, which="both", labelcolor=MUTED)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(in_words)
    elif axes.get_ylim()[1] >= 1000:
        axes.yaxis.set_major_formatter(in_words)


def _recolour(artist: Any) -> None:
    from matplotlib.colors import same_color

    for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
        get, put = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
        if get is None or put is None:
            continue
        now = get()
        for colour, on_white in _ON_WHITE.items():
            try:
                if same_color(now, colour):
                    put(on_white)
            except (ValueError, TypeError):
                break
