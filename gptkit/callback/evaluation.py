"""Evaluates tasks during training, without effect on it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lightning
import torch

from gptkit.errors import ConfigError
from gptkit.evaluation.task_evaluation import evaluate_task
from gptkit.model.evaluation_mode import evaluation_mode
from gptkit.task.comparison import Subject

if TYPE_CHECKING:
    from gptkit.evaluation.task_evaluation import PreparedTask

_log = logging.getLogger("gptkit")


class Evaluation(lightning.Callback):
    """Evaluates tasks every `every` steps, or at every validation.

    Checkpoints hold the latest metrics, for the summary of a resumed run.
    """

    def __init__(self, tasks: Mapping[str, PreparedTask], *, every: int = 0) -> None:
        self.tasks = dict(tasks)
        self.every = every
        self.latest: dict[str, float] = {}
        self._reported: set[str] = set()

    @property
    def state_key(self) -> str:
        return f"evaluation {' '.join(sorted(self.tasks))}"

    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Restore the latest metrics.

        Raises:
            ConfigError: the tasks are evaluated at validations, and the run has none.
        """
        if not self.every and "validation" not in pl_module.datasets:
            raise ConfigError(
                "callback=evaluation evaluates tasks at validations, and this run holds out no data; "
                "set every, or val.fraction above 0"
            )
        seed = pl_module.settings.seed
        self.tasks = {key: replace(task, settings=replace(task.settings, seed=seed)) for key, task in self.tasks.items()}
        pl_module.state.callback_metrics.update(self.latest)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Evaluate at a validation, whose weights are averaged already if the run averages weights."""
        if not self.every:
            self.latest = self._evaluate(trainer, pl_module)
            pl_module.state.callback_metrics.update(self.latest)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Evaluate after a step."""
        state = pl_module.state
        is_last = state.step >= state.last_step
        if not self.every or (state.step % self.every and not is_last):
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(pl_module.pause_meter())
            stack.enter_context(pl_module.ema_weights())
            self.latest = self._evaluate(trainer, pl_module)
        pl_module.log_dict(self.latest, now=True)
        if is_last:
            state.callback_metrics.update(self.latest)  # for the summary

    @torch.no_grad()
    def _evaluate(self, trainer: lightning.Trainer, pl_module: Any) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for key, task in self.tasks.items():
            with evaluation_mode(pl_module.model), trainer.precision_plugin.val_step_context():
                result = evaluate_task(task, Subject(pl_module.model, pl_module.tokenizer))
            for index, (name, metric) in enumerate(result.metrics.items()):
                metrics[f"eval/{key}" if index == 0 else f"eval/{key}_{name}"] = metric.value
            if key not in self._reported and trainer.is_global_zero:
                for warning in result.warnings:
                    _log.warning("callback=evaluation, task %s: %s", key, warning)
            self._reported.add(key)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {"latest": dict(self.latest)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.latest = state_dict.get("latest", {})
