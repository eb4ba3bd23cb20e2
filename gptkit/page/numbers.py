"""Numbers as people read them, and arrays of them prepared for charts: thinning and axis limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def format_duration(seconds: float) -> str:
    """Format seconds in their two largest units: "2 h 05 min", "3 min 20 s", "12 s"."""
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, second = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{second} s"


def format_count(number: float) -> str:
    """Format a large number with its SI prefix: 124 M."""
    for limit, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= limit:
            return f"{number / limit:.3g}{unit}"
    return f"{number:.3g}"


def thin(values: Values, points: int) -> NDArray[np.intp]:
    """Return the indices of at most about `points` values: the lowest and the highest of equal stretches, and both ends."""
    if len(values) <= points:
        return np.arange(len(values))
    indices = [0, len(values) - 1]
    for stretch in np.array_split(np.arange(len(values)), max(1, points // 2)):
        indices += [int(stretch[np.argmin(values[stretch])]), int(stretch[np.argmax(values[stretch])])]
    return np.unique(indices)


@dataclass(frozen=True)
class Limits:
    """The range of a vertical axis without outliers."""

    low: float
    high: float
    below: int = 0
    """values below `low`"""
    above: int = 0
    """values above `high`"""

    @property
    def note(self) -> str:
        """Return a sentence about the number of values outside; empty if there are none."""
        parts = [(self.above, "above", self.high), (self.below, "below", self.low)]
        words = [f"{count:,} value{'s' * (count != 1)} {side} {_format(limit)}" for count, side, limit in parts if count]
        return f"Outside the axis: {' and '.join(words)}." if words else ""


def _format(number: float) -> str:
    return f"{number:,.0f}" if 1e4 <= abs(number) < 1e12 else f"{number:.4g}"


def robust_limits(curves: Sequence[Values]) -> Limits | None:
    """Return the limits of a vertical axis for several curves together; None if no curve has a value.

    Values far outside the bulk of all values do not count: further from it than one and a half times the distance between the 3%
    and 97% quantiles or, where there are fewer than 100 values, thirty times the distance between the quartiles. A single spike
    or the first steps of a long run then leave room for the rest.
    """
    values = np.concatenate([np.empty(0), *curves])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    edge, times = (0.03, 1.5) if len(values) >= 100 else (0.25, 30.0)
    low_quantile, high_quantile = (float(quantile) for quantile in np.quantile(values, [edge, 1 - edge]))
    reach = times * (high_quantile - low_quantile)
    low, high = float(values.min()), float(values.max())
    if reach > 0:
        inside = values[(values >= low_quantile - reach) & (values <= high_quantile + reach)]
        low, high = float(inside.min()), float(inside.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.1
    below, above = int((values < low).sum()), int((values > high).sum())
    return Limits(low - margin, high + margin, below, above)


def can_be_logarithmic(curves: Sequence[Values]) -> bool:
    """Return whether all values are positive and span more than a factor of 20."""
    values = np.concatenate([np.empty(0), *curves])
    return bool(len(values)) and float(values.min()) > 0 and math.log(float(values.max()) / float(values.min())) > math.log(20)
