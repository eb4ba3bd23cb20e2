"""Values with their intervals as a dot and a whisker on an axis, drawn by the style sheet `whiskers.css` of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

_MARGIN = 0.12


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of dots and whiskers that are drawn below each other."""

    low: float
    high: float

    def position(self, value: float) -> float:
        """Return the position of a value in percent of the width. A value outside the axis is drawn at its end."""
        return round(100 * min(max((value - self.low) / (self.high - self.low), 0.0), 1.0), 3)


def axis_for(values: Iterable[float | None]) -> Axis:
    """Return an axis on which all values fit: from 0 to 1 if none lies outside."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if all(0 <= value <= 1 for value in known):
        return Axis(0.0, 1.0)
    low, high = min(known), max(known)
    margin = _MARGIN * (high - low) or _MARGIN * abs(high)
    return Axis(0.0 if 0 <= low < margin else low - margin, high + margin)


def draw_whisker(
    axis: Axis, value: float, low: float | None, high: float | None, *, label: str, reference: float | None = None
) -> Markup:
    """Return a dot at the value, a whisker from `low` to `high`, and a line at the reference.

    Args:
        axis: the axis.
        value: the value.
        low: the lower end of its interval; None: no whisker.
        high: the upper end.
        label: the numbers in words, for readers who do not see the drawing.
        reference: such as the score of random guessing, or no difference; None: no line.
    """
    parts = []
    if reference is not None:
        parts.append(Markup('<i class="reference" style="left:{}%"></i>').format(axis.position(reference)))
    if low is not None and high is not None:
        left, right = axis.position(low), axis.position(high)
        parts.append(Markup('<i class="range" style="left:{}%;width:{}%"></i>').format(left, round(right - left, 3)))
    parts.append(Markup('<i class="dot" style="left:{}%"></i>').format(axis.position(value)))
    return Markup('<div class="whisker" role="img" aria-label="{}">{}</div>').format(label, Markup("").join(parts))
