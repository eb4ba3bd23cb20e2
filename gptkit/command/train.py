"""The command `train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gptkit.command import TrainCommand
from gptkit.training.fit import Result, fit


def train(settings: TrainCommand, folder: Path, callbacks: Sequence[Any] = ()) -> Result:
    """Train a model, or continue the run in the folder. Returns the content of summary.json.

    On SIGTERM, Ctrl-C or `trainer.max_time` the run saves at the end of its step; `gptkit train hydra.run.dir=<run>` continues it.
    """
    return fit(settings, folder, callbacks)
