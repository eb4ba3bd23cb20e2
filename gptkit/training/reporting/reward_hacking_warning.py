"""Warns of reward hacking and other collapses of reinforcement learning while a run trains."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import Diagnostic
from gptkit.training.reporting.metrics_csv import read_metrics
from gptkit.training.reporting.reward_hacking import diagnose_collapse

_log = logging.getLogger("gptkit")


class RewardHackingWarning(Callback):
    """Warns of each collapse once per run, at the first validation that shows it. See `diagnose_collapse`."""

    def __init__(self, folder: Path, missing_end_score: float | None = None) -> None:
        """Create the callback.

        Args:
            folder: the run folder.
            missing_end_score: the score of every response without end-of-text; None: the reward scores such responses.
        """
        self.folder = folder
        self.missing_end_score = missing_end_score
        self._validations: list[dict[str, float]] = []
        self._reported: set[str] = set()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Mark the collapses that a resumed run has reported before, so that they are not reported again."""
        columns = read_metrics(self.folder)
        names = [name for name in columns if name == "tokens" or name.startswith("val/")]
        for number, loss in enumerate(columns["val/loss"]):
            if not math.isnan(loss):
                self._new_diagnostics({name: columns[name][number] for name in names})

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        state = pl_module.state
        if not trainer.is_global_zero or state.val_step != state.step:
            return
        for diagnostic in self._new_diagnostics(
            {"tokens": state.tokens, **{f"val/{name}": value for name, value in state.val_metrics.items()}}
        ):
            _log.warning("step %s: %s. %s", state.step, diagnostic.title, diagnostic.text)

    def _new_diagnostics(self, validation: dict[str, float]) -> list[Diagnostic]:
        """Add a validation and return the problems that none before it showed."""
        self._validations.append(validation)
        names = dict.fromkeys(name for metrics in self._validations for name in metrics)
        curves = Curves({name: np.array([metrics.get(name, math.nan) for metrics in self._validations]) for name in names})
        problems = [
            diagnostic
            for diagnostic in diagnose_collapse(curves, self.missing_end_score)
            if diagnostic.level != "good" and diagnostic.title not in self._reported
        ]
        self._reported.update(diagnostic.title for diagnostic in problems)
        return problems
