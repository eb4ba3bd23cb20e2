"""The metric and the direction by which checkpoints and runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Monitor:
    """The value that ranks runs and checkpoints."""

    metric: str | None
    """The name of a validation metric. None: the validation loss."""

    mode: Literal["min", "max"]
    """Whether a lower or a higher value is better."""

    def value_to_minimize(self, loss: float, metrics: Mapping[str, float]) -> float:
        """Return the monitored value of a validation, negated if higher is better, so that lower is always better."""
        value = loss if self.metric is None else metrics[self.metric]
        return value if self.mode == "min" else -value


LOWEST_LOSS = Monitor(None, "min")
