"""The batches of a run from any step on, and how many steps it has. The batch of step i is a pure function of the seed and i."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.sampler import ByLength, indices
from gptkit.data.splits import evenly_spaced
from gptkit.errors import ConfigError
from gptkit.run_config import RunConfig


@dataclass(frozen=True)
class TrainDataLoader:
    """What Lightning iterates over: this device's slice of each step's batch.

    The slices of all devices together are the batch that one device would have got, so their number changes nothing.
    """

    dataset: Dataset
    seed: int
    batch: int
    """Sequences per step over all devices; divisible by `replicas`."""
    start: int
    """Steps already done."""
    stop: int
    """The step with which the run ends."""
    replica: int = 0
    """Which slice this device takes."""
    replicas: int = 1

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[Batch]:
        share = self.batch // self.replicas
        first = self.replica * share
        items, longest = len(self.dataset), self.dataset.longest()
        order = None if longest is None else ByLength(longest, batch=self.batch, seed=self.seed)
        for step in range(self.start, self.stop):
            chosen = indices(step, batch=self.batch, items=items, seed=self.seed, order_of=order).tolist()
            yield self.dataset.batch(chosen[first : first + share])


def validation_items(dataset: Dataset, at_most: int) -> list[int]:
    """The validation items: `at_most` of them, evenly spread and always the same, those of similar length together; 0: all."""
    chosen, longest = evenly_spaced(len(dataset), at_most), dataset.longest()
    return chosen if longest is None else sorted(chosen, key=lambda item: int(longest[item]))


def run_length(settings: RunConfig, train: Dataset | None = None) -> tuple[int, int]:
    """The step with which a run ends, and its horizon in tokens: what the learning rate's schedule follows.

    Args:
        settings: of the run.
        train: its training items; where their lengths differ, a step has as many tokens as a mean batch. Without them every
            sequence counts as full, and `epochs` is left aside.

    Raises:
        ConfigError: it has no step.
    """
    lengths = None if train is None else train.lengths()
    per_item = settings.model.context if lengths is None else float(lengths.mean())
    per_step = settings.batch.size * per_item
    given = settings.trainer.get("max_steps")
    if given is None or given == -1:
        if settings.epochs is not None and train is not None:
            steps = max(1, round(settings.epochs * len(train) / settings.batch.size))
            return steps, round(steps * per_step)
        return math.ceil(settings.tokens / per_step), settings.tokens
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigError(f"trainer.max_steps={given} must be a whole number, at least 1")
    return given, round(given * per_step)


def describe_ignored_keys(settings: RunConfig) -> str:
    """Which key decides how long the run is, where another one is given as well: a phrase of the line with which a run begins."""
    steps = settings.trainer.get("max_steps")
    given = [] if steps in (None, -1) else ["trainer.max_steps"]
    given += [] if settings.epochs is None else [f"epochs={settings.epochs:g}"]
    given += [] if settings.tokens == RunConfig.tokens else [f"tokens={settings.tokens}"]
    decides, *aside = given or [""]
    return f" ({decides} decides, not {' or '.join(aside)})" if aside else ""
