"""Says while a run trains what its report would say of it in the end: that reinforcement has begun to go wrong."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.callbacks import Callback

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import Diagnostic
from gptkit.training.reporting.metrics import read_metrics
from gptkit.training.reporting.reward_hacking import collapse_verdicts

_log = logging.getLogger("gptkit")


class RewardHackingWarning(Callback):
    """Warns of each known collapse once in the life of a run, at the first validation that shows it. See `collapse_verdicts`."""

    def __init__(self, folder: Path, unended: float | None = None) -> None:
        """Args:
        folder: of the run.
        unended: the score of every response that does not end, if there is one.
        """
        self.folder = folder
        self.unended = unended
        self._validations: list[dict[str, float]] = []
        self._told: set[str] = set()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """What the run had been told of before it was stopped is not told again."""
        columns = read_metrics(self.folder)
        names = [name for name in columns if name == "tokens" or name.startswith("val/")]
        for number, loss in enumerate(columns["val/loss"]):
            if not math.isnan(loss):
                self._news({name: columns[name][number] for name in names})

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        state = pl_module.state
        if not trainer.is_global_zero or state.val_step != state.step:
            return
        for verdict in self._news({"tokens": state.tokens, **{f"val/{name}": value for name, value in state.val_metrics.items()}}):
            _log.warning("step %s: %s. %s", state.step, verdict.title, verdict.text)

    def _news(self, validation: dict[str, float]) -> list[Diagnostic]:
        """What a further validation shows that none before it did."""
        self._validations.append(validation)
        names = dict.fromkeys(name for each in self._validations for name in each)
        curves = Curves({name: np.array([each.get(name, math.nan) for each in self._validations]) for name in names})
        found = [each for each in collapse_verdicts(curves, self.unended) if each.level != "good" and each.title not in self._told]
        self._told.update(each.title for each in found)
        return found
