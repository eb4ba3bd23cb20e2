"""Lightning's precision plugin for runs that store their weights in half or double precision."""

from __future__ import annotations

import lightning
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, Precision


class StoredPrecision(Precision):
    """Computes in the dtype of the weights, which are converted before training.

    Lightning's own plugins also change torch's default dtype and convert the batches: counts, labels and scores would be rounded
    to eight bits.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision  # type: ignore[assignment]


def use_stored_precision(trainer: lightning.Trainer) -> None:
    """Replace Lightning's half and double precision plugins by `StoredPrecision`. Other plugins stay."""
    if isinstance(trainer.precision_plugin, HalfPrecision | DoublePrecision):
        trainer.strategy.precision_plugin = StoredPrecision(str(trainer.precision))
