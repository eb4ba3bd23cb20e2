"""Evaluates tasks at every validation, without effect on training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lightning
import torch

from gptkit.errors import ConfigError
from gptkit.evaluation.runner import evaluate
from gptkit.model.evaluation_mode import evaluation_mode
from gptkit.task.comparison import Subject

if TYPE_CHECKING:
    from gptkit.task.base import Task


class ZeroShot(lightning.Callback):
    """Evaluates tasks at every validation. Checkpoints hold the latest scores, for the summary of a resumed run."""

    def __init__(self, tasks: dict[str, Task]) -> None:
        self.tasks = tasks
        self.latest: dict[str, float] = {}

    @property
    def state_key(self) -> str:
        return f"zero_shot {' '.join(sorted(self.tasks))}"

    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Restore the latest scores.

        Raises:
            ConfigError: the run never validates.
        """
        if "validation" not in pl_module.datasets:
            raise ConfigError(
                "callback=zero_shot evaluates tasks at validations, and this run holds out no data; set val.fraction above 0"
            )
        pl_module.state.callback_metrics.update(self.latest)

    @torch.no_grad()
    def on_validation_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        metrics: dict[str, float] = {}
        for key, task in self.tasks.items():
            with evaluation_mode(pl_module.model), trainer.precision_plugin.val_step_context():
                subject = Subject(pl_module.model, pl_module.tokenizer)
                scores = evaluate(task, subject, seed=pl_module.settings.seed).metrics
            for index, (name, score) in enumerate(scores.items()):
                metrics[f"zero_shot/{key}" if index == 0 else f"zero_shot/{key}_{name}"] = score
        self.latest = metrics
        pl_module.state.callback_metrics.update(metrics)

    def state_dict(self) -> dict[str, Any]:
        return {"latest": dict(self.latest)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.latest = state_dict.get("latest", {})
