"""Writes a row of metrics.csv for every logged step, and passes the same numbers to the loggers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.training.lightning_progress import update_callback_metrics
from gptkit.training.reporting.metrics_csv import FILE, MetricsFile
from gptkit.training.reporting.speed_and_mfu import SpeedMeter

if TYPE_CHECKING:
    from gptkit.training.train_state import TrainState


class MetricsLogger(Callback):
    """Writes a row every `trainer.log_every_n_steps` steps and at every validation.

    At other steps the process does not wait for the device.
    """

    def __init__(self, folder: Path, meter: SpeedMeter) -> None:
        self.folder = folder
        self.meter = meter
        self._file: MetricsFile | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero:
            self._file = MetricsFile(self.folder / FILE)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        state: TrainState = pl_module.state
        if _is_logged(trainer, state):
            update_callback_metrics(trainer, {**_step_metrics(state), "lr": state.lr})
            if trainer.is_global_zero:
                self._log(trainer, state)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        state: TrainState = pl_module.state
        if trainer.sanity_checking or state.val_step != state.step or state.val_loss is None:
            return
        metrics = {f"val/{name}": value for name, value in state.val_metrics.items()}
        row = {"step": state.step, "tokens": state.tokens, "val/loss": state.val_loss, **metrics, **state.callback_metrics}
        self._write(trainer, row)
        for logger in trainer.loggers:
            logger.save()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.write_logged(trainer, pl_module.state)  # of `on_train_epoch_end`

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        with contextlib.suppress(GptkitError):  # report what stopped the run, not errors that follow from it
            self.teardown(trainer, pl_module, "fit")  # Lightning does not call it after an exception

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _log(self, trainer: Any, state: TrainState) -> None:
        values = read_scalars(_step_metrics(state))  # waits for the device, so `end_window` closes a window of whole steps
        rate = self.meter.end_window(state.tokens)
        row = {"step": state.step, "tokens": state.tokens, **values, "lr": state.lr}
        if rate is not None:
            row["tokens_per_second"] = round(rate, 1)
        self._write(trainer, row)

    def write_logged(self, trainer: Any, state: TrainState) -> None:
        """Complete the row of this step, if it has one, with what callbacks passed to `log`."""
        if state.logged and (_is_logged(trainer, state) or state.step in (state.val_step, state.row_step)):
            values = read_scalars(state.logged)
            state.logged.clear()
            self._write(trainer, {"step": state.step, "tokens": state.tokens, **values})

    def _write(self, trainer: Any, row: dict[str, float]) -> None:
        row["wall_seconds"] = round(self.meter.wall_seconds, 3)
        if self._file is not None:
            self._file.add(row)
        logged = {name: value for name, value in row.items() if name not in ("step", "wall_seconds")}
        for logger in trainer.loggers:
            logger.log_metrics(logged, step=int(row["step"]))


def _is_logged(trainer: Any, state: TrainState) -> bool:
    every = trainer.log_every_n_steps
    return state.step == state.last_step or bool(every and state.step % every == 0)


def _step_metrics(state: TrainState) -> dict[str, Tensor]:
    tensors = {f"train/{name}": value for name, value in state.metrics.items()}
    if state.loss is not None:
        tensors["train/loss"] = state.loss
    if state.grad_norm is not None:
        tensors["grad_norm"] = state.grad_norm
    return tensors


def read_scalars(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the values of scalar tensors on one device, in one transfer."""
    if not tensors:
        return {}
    return dict(zip(tensors, torch.stack([tensor.detach().float() for tensor in tensors.values()]).tolist(), strict=True))
