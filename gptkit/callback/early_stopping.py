"""Stops a run whose validation loss no longer decreases."""

from __future__ import annotations

import math
from typing import Any

import lightning


class EarlyStopping(lightning.Callback):
    """Counts validations without improvement. Checkpoints hold the count, so a resumed run stops at the same step."""

    def __init__(self, *, patience: int, improvement: float) -> None:
        """Create the callback.

        Args:
            patience: validations without improvement before the run stops.
            improvement: smallest decrease below the best validation loss that counts as an improvement, in nats.
        """
        self.patience = patience
        self.improvement = improvement
        self.best = math.inf
        self.validations_without_improvement = 0

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        loss = pl_module.state.val_loss
        if loss is None:
            return
        if loss < self.best - self.improvement:
            self.best, self.validations_without_improvement = loss, 0
        else:
            self.validations_without_improvement += 1
        if self.validations_without_improvement >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "flat": self.validations_without_improvement}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.validations_without_improvement = state_dict["best"], state_dict["flat"]
