"""Lightning's monitors, which log what the run itself does not."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import callbacks


class LearningRateMonitor(callbacks.LearningRateMonitor):
    """Logs at the end of a step: gptkit sets the learning rate within the step, not before it."""

    def on_train_batch_start(self, trainer: Any, *arguments: Any, **named: Any) -> None:
        pass

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
