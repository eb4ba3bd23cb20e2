"""The verb `train`."""

from __future__ import annotations

from pathlib import Path

from gptkit.command import TrainCommand
from gptkit.training.fit import Result, fit


def train(settings: TrainCommand, folder: Path) -> Result:
    """Train a model, or continue the run that the folder holds; gives what summary.json says.

    A run that is told to stop (SIGTERM, Ctrl-C, `trainer.max_time`) saves at the end of its step; `gptkit train
    hydra.run.dir=<run>` continues it.
    """
    return fit(settings, folder)
