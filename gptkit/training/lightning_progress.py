"""Keeps Lightning's counters and metrics at the run's own step, so that Lightning's callbacks and profilers report it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector
from torch import Tensor


class RunLoggerConnector(_LoggerConnector):
    """Lets callbacks log at the steps at which the run logs: multiples of `trainer.log_every_n_steps`."""

    @property
    def should_update_logs(self) -> bool:
        trainer: Any = self.trainer
        step, every = trainer.fit_loop.epoch_loop._batches_that_stepped, trainer.log_every_n_steps
        return bool(every and step and step % every == 0) or trainer.should_stop


def set_progress(trainer: lightning.Trainer, step: int, *, counted: bool = True) -> None:
    """Set `trainer.global_step`, and the step at which Lightning's callbacks log.

    Args:
        trainer: of the run.
        step: the number of completed steps.
        counted: False where Lightning adds 1 to the number of batches after the call.
    """
    loop = trainer.fit_loop.epoch_loop
    loop.manual_optimization.optim_step_progress.total.completed = step
    loop._batches_that_stepped = step if counted else step - 1


def update_callback_metrics(trainer: Any, metrics: Mapping[str, float | Tensor]) -> None:
    """Add metrics to `trainer.callback_metrics`, where callbacks such as EarlyStopping look for them."""
    trainer.callback_metrics.update({name: torch.as_tensor(value) for name, value in metrics.items()})


def to_scalar(name: str, value: Any, device: torch.device) -> Tensor:
    """Return the value of `log(name, value)` as a detached scalar.

    Raises:
        ValueError: it is not a single number.
    """
    from torchmetrics import Metric

    tensor = torch.as_tensor(value.compute() if isinstance(value, Metric) else value).detach()
    if tensor.numel() != 1:
        raise ValueError(f"log({name!r}, ...) needs one number, not {tuple(tensor.shape)}")
    return tensor.reshape(()).to(device, torch.float32)
