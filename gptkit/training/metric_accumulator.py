"""What the minibatches of one step add up to: its loss, its metrics, and where its time went."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from gptkit.objective.base import Metrics, mean_over_items
from gptkit.objective.rollout_objective import Total


class MetricAccumulator:
    """Tensors stay on the device; nothing here waits for it but what measures times."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._seconds: dict[str, float] = {}

    def add_loss(self, loss: Tensor) -> None:
        """The loss of one minibatch, a detached scalar."""
        self._losses.append(loss)

    def add(self, metrics: Metrics, items: int) -> None:
        """Add the objective's metrics of some items, except those with a row per item, which only validation uses."""
        for name, metric in metrics.items():
            share = mean_over_items(metric, items)
            if share is None:
                continue
            self._sums[name] = self._sums[name] + share.total if name in self._sums else share.total
            self._counts[name] = self._counts[name] + share.count if name in self._counts else share.count

    @contextlib.contextmanager
    def time_of(self, name: str, wanted: bool) -> Iterator[None]:
        """Count what happens within towards `seconds_<name>`, and what the device still has to do of it."""
        begin = time.perf_counter()
        yield
        if wanted:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begin

    def loss(self) -> Tensor:
        """The mean over the minibatches."""
        return self._losses[0] if len(self._losses) == 1 else torch.stack(self._losses).mean()

    def means(self, total: Total | None = None) -> dict[str, Tensor]:
        """Every metric over what it is averaged over, on all devices where `total` adds over them, and this device's seconds."""
        sums, counts = self._sums, self._counts
        if total is not None and sums:
            device = self._losses[0].device
            both = total(torch.stack([each.to(device, torch.float64) for each in (*sums.values(), *counts.values())])).float()
            sums, counts = (dict(zip(sums, half, strict=True)) for half in (both[: len(sums)], both[len(sums) :]))
        means = {name: each / counts[name].clamp(min=1) for name, each in sums.items()}
        return means | {
            f"seconds_{name}": torch.tensor(seconds, device=self._losses[0].device) for name, seconds in self._seconds.items()
        }
