"""A chart as data. A page draws it twice, as static SVG and by its script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gptkit.page.numbers import Limits, Values, robust_limits

FEW = 12
"""A curve with fewer points is drawn with a marker at each."""

X_AXES = {"tokens": "tokens", "step": "steps", "wall_seconds": "time"}
"""The columns that can be horizontal axes, with the names of the axes."""


@dataclass(frozen=True)
class Series:
    """One curve. All arrays have the same length and contain no NaN."""

    label: str
    x: Mapping[str, Values]
    """values by horizontal axis"""
    y: Values
    low: Values | None = None
    high: Values | None = None
    """bounds of an interval, drawn as a band"""
    color: int = 0
    is_faint: bool = False
    """whether this is the background of another curve, without an entry in the legend"""
    is_line: bool = True


@dataclass(frozen=True)
class Chart:
    """Several curves on common axes."""

    title: str
    series: Sequence[Series]
    is_wide: bool = False
    from_zero: bool = False
    is_logarithmic: bool = False
    reference: tuple[str, float] | None = None
    """label and value of a horizontal line"""
    categories: Sequence[str] = ()
    """names of the positions 0, 1, ... of the horizontal axis; empty: it has numbers"""
    has_log_x: bool = False
    """whether the horizontal axis is logarithmic from the start"""
    x_names: Mapping[str, str] = field(default_factory=dict)
    """names of the horizontal axes that differ from `X_AXES`"""
    note: str = ""

    @property
    def axes(self) -> list[str]:
        """The horizontal axes that every curve has, the first one shown first."""
        first = self.series[0].x
        return [name for name in first if all(name in series.x for series in self.series)]

    @property
    def limits(self) -> Limits | None:
        """The limits of the vertical axis; None: determined by the curves."""
        values = [each for series in self.series for each in (series.y, series.low, series.high) if each is not None]
        if self.is_logarithmic:
            return None
        limits = robust_limits(values)
        if limits is None:
            return None
        low, high = limits.low, limits.high
        if self.from_zero and not limits.below and low > -0.1 * high:
            low, high = 0.0, max(high, 1e-12)
        if self.reference is not None and high > 0.7 * self.reference[1]:
            high = max(high, self.reference[1] * 1.03)
        return Limits(low, high, limits.below, limits.above)
