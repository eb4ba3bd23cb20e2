"""What the minibatches of one step add up to: its loss, its metrics, and where its time went."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class Tally:
    """Tensors stay on the device; nothing here waits for it but what measures times."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._sums: dict[str, Tensor] = {}
        self._items: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    def add_loss(self, loss: Tensor) -> None:
        """The loss of one minibatch, a detached scalar."""
        self._losses.append(loss)

    def add(self, measured: Mapping[str, Tensor], items: int) -> None:
        """What the objective measured of some items: the scalars, which are sums over them."""
        for name, metric in measured.items():
            if metric.dim():
                continue  # of each item: for validation alone
            self._sums[name] = self._sums[name] + metric if name in self._sums else metric
            self._items[name] = self._items.get(name, 0) + items

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

    def means(self) -> dict[str, Tensor]:
        """Every metric over the items that it was measured of, and the seconds."""
        means = {name: total / self._items[name] for name, total in self._sums.items()}
        return means | {
            f"seconds_{name}": torch.tensor(seconds, device=self._losses[0].device) for name, seconds in self._seconds.items()
        }
