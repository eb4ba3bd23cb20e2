"""The logged values of a run as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptkit.page.charts import X_AXES
from gptkit.page.numbers import Values


@dataclass(frozen=True)
class Curves:
    """The columns of metrics.csv as arrays of equal length, with NaN where a row has no value."""

    columns: dict[str, Values]

    def pair(self, name: str) -> tuple[Values, Values]:
        """Return the tokens and the values of the rows with a finite value in the column."""
        values = self.columns.get(name, np.empty(0))
        tokens = self.columns.get("tokens", np.empty(0))[: len(values)]
        known = np.isfinite(values)
        return tokens[known], values[known]

    def column_at(self, name: str, of: str) -> Values:
        """Return the values of a column in the rows where the column `of` is finite; NaN where it has no value."""
        other = self.columns[of]
        return self.columns.get(name, np.full(len(other), np.nan))[np.isfinite(other)]

    def x_at(self, of: str) -> dict[str, Values]:
        """Return, for each horizontal axis, its values in the rows where the column `of` is finite.

        An axis with gaps is interpolated; one without any value is left out.
        """
        axes = {}
        for name in X_AXES:
            values = self.column_at(name, of)
            known = np.isfinite(values)
            if known.any():
                filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
                axes[name] = np.maximum.accumulate(filled)
        return axes


def smooth(values: Values) -> Values:
    """Return a running mean over about a fiftieth of the points; windows shrink at the ends, so that a steep fall stays sharp."""
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
