"""Results that a paper reports, to be printed beside those that are measured."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gptkit.errors import ConfigError

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@dataclass(frozen=True)
class PaperValue:
    """A number of a paper, for a model with so many parameters."""

    value: float
    model: str
    """The number of parameters as the paper prints it, such as 117M."""


@dataclass(frozen=True)
class PaperResult:
    """What a paper reports for a task."""

    source: str
    """The table, figure or section."""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Values by metric and size of the model, in the units of the metric."""

    def nearest(self, metric: str, parameters: int | None) -> PaperValue | None:
        """Return the value for the model whose size is nearest to a number of parameters, or None if there is none.

        Args:
            metric: the metric.
            parameters: the number of parameters of the evaluated model; None: the largest model of the paper.
        """
        values = self.metrics.get(metric)
        if not values:
            return None
        if parameters is None:
            size = max(values, key=parameters_of)
        else:
            size = min(values, key=lambda each: abs(math.log(parameters_of(each)) - math.log(max(1, parameters))))
        return PaperValue(values[size], size)


def parameters_of(size: str) -> float:
    """Return the number of parameters that a size such as 117M or 1.3B stands for.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[KMBT]?)", size)
    if match is None or not float(match["number"]):
        raise ValueError(f"{size} is not a number of parameters such as 117M or 1.3B")
    return float(match["number"]) * _UNITS[match["unit"]]


def read_paper(content: Any, *, path: str) -> PaperResult | None:
    """Return the results of a paper from their settings, `{source: table 3, accuracy: {117M: 0.46, 1542M: 0.63}}`.

    Args:
        content: the settings; None: there are none. A value of None is skipped.
        path: their configuration key, for errors.

    Raises:
        ConfigError: the settings do not have this form.
    """
    if content is None:
        return None
    example = "{source: table 3, accuracy: {117M: 0.46}}"
    if not isinstance(content, Mapping) or not isinstance(content.get("source"), str):
        raise ConfigError(f"{path} must have the source of the numbers, such as {example}")
    metrics: dict[str, dict[str, float]] = {}
    for metric, values in content.items():
        if metric == "source":
            continue
        if not isinstance(values, Mapping) or not values:
            raise ConfigError(f"{path}.{metric} must have a number for each size of the model, such as {example}")
        for size, value in values.items():
            try:
                parameters_of(str(size))
            except ValueError as error:
                raise ConfigError(f"{path}.{metric}: {error}") from None
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise ConfigError(f"{path}.{metric}.{size}={value} must be a number, or null")
        metrics[str(metric)] = {str(size): float(value) for size, value in values.items() if value is not None}
    return PaperResult(content["source"], metrics)
