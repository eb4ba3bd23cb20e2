"""The callbacks that a user adds to a run: parts, and those of `gptkit.run(run, callbacks=[...])`."""

from __future__ import annotations

from collections.abc import Iterable

import lightning
from lightning.pytorch import callbacks as lightning_callbacks

from gptkit.errors import ConfigError

REPLACED_BY: dict[type[lightning.Callback], str] = {
    lightning_callbacks.Checkpoint: "gptkit writes checkpoints itself: set save.every and save.keep",
    lightning_callbacks.ProgressBar: "gptkit shows its own progress",
    lightning_callbacks.StochasticWeightAveraging: "set ema to average the weights",
    lightning_callbacks.WeightAveraging: "set ema to average the weights",
    lightning_callbacks.GradientAccumulationScheduler: "set batch.size and batch.micro",
    lightning_callbacks.BatchSizeFinder: "batch.micro=auto finds the largest micro-batch",
    lightning_callbacks.LearningRateFinder: "sweep over optimizer.lr with -m",
}
"""Callbacks that cannot work here, and what to do instead."""


NEED_LOGGER = (lightning_callbacks.LearningRateMonitor, lightning_callbacks.DeviceStatsMonitor)
"""Callbacks that write to loggers only."""


def check_callbacks(callbacks: Iterable[lightning.Callback], *, has_logger: bool) -> None:
    """Check that every callback can observe a run.

    Args:
        callbacks: the callbacks that the user adds.
        has_logger: whether the run has a logger.

    Raises:
        ConfigError: it is not a Lightning callback, it does what gptkit does itself, or it needs a logger.
    """
    for callback in callbacks:
        name = type(callback).__name__
        if not isinstance(callback, lightning.Callback):
            raise ConfigError(f"callbacks: {name} is not a Lightning callback")
        for kind, way_out in REPLACED_BY.items():
            if isinstance(callback, kind):
                raise ConfigError(f"the callback {name} cannot be used: {way_out}")
        if isinstance(callback, NEED_LOGGER) and not has_logger:
            raise ConfigError(f"the callback {name} needs a logger, and none is chosen; choose one, such as logger=csv")
