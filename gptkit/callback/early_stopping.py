"""Stop a run whose validation loss no longer falls."""

from __future__ import annotations

import math
from typing import Any

import lightning


class EarlyStopping(lightning.Callback):
    """Counts validations without improvement; the count is part of a checkpoint, so a continued run stops where it would have."""

    def __init__(self, *, patience: int, improvement: float) -> None:
        """
        Args:
            patience: validations without improvement before the run stops.
            improvement: smallest fall below the best validation loss that counts, in nats.
        """
        self.patience = patience
        self.improvement = improvement
        self.best = math.inf
        self.flat = 0

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        loss = pl_module.state.val_loss
        if loss is None:
            return
        if loss < self.best - self.improvement:
            self.best, self.flat = loss, 0
        else:
            self.flat += 1
        if self.flat >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "flat": self.flat}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.flat = state_dict["best"], state_dict["flat"]
