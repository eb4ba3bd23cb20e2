"""Accumulates the loss, the metrics and the times of the minibatches of one step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from gptkit.objective.base import Metrics, mean_over_items
from gptkit.objective.rollout_objective import Total


class MetricAccumulator:
    """Accumulates the results of one step. Tensors stay on the device; only `measure_time` waits for it."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._seconds: dict[str, float] = {}

    def add_loss(self, loss: Tensor) -> None:
        """Add the loss of one minibatch, a detached scalar."""
        self._losses.append(loss)

    def add(self, metrics: Metrics, items: int) -> None:
        """Add the objective's metrics of some items, except those with a row per item, which only validation uses."""
        for name, metric in metrics.items():
            mean = mean_over_items(metric, items)
            if mean is None:
                continue
            self._sums[name] = self._sums[name] + mean.total if name in self._sums else mean.total
            self._counts[name] = self._counts[name] + mean.count if name in self._counts else mean.count

    @contextlib.contextmanager
    def measure_time(self, name: str, is_timed: bool) -> Iterator[None]:
        """Add the duration of the context to `seconds_<name>` if `is_timed`, after the device has finished its work."""
        begin = time.perf_counter()
        yield
        if is_timed:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begin

    def loss(self) -> Tensor:
        """Return the mean loss over the minibatches."""
        return self._losses[0] if len(self._losses) == 1 else torch.stack(self._losses).mean()

    def means(self, total: Total | None = None) -> dict[str, Tensor]:
        """Return the mean of every metric, and the seconds measured on this device.

        Args:
            total: sums a tensor over all devices; None: the means are over this device.
        """
        sums, counts = self._sums, self._counts
        if total is not None and sums:
            device = self._losses[0].device
            numbers = torch.stack([number.to(device, torch.float64) for number in (*sums.values(), *counts.values())])
            totals = total(numbers).float()
            sums, counts = (dict(zip(sums, half, strict=True)) for half in (totals[: len(sums)], totals[len(sums) :]))
        means = {name: metric_sum / counts[name].clamp(min=1) for name, metric_sum in sums.items()}
        return means | {
            f"seconds_{name}": torch.tensor(seconds, device=self._losses[0].device) for name, seconds in self._seconds.items()
        }
