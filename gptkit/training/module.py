"""The LightningModule of all models and objectives. It sets up a run, takes one step per batch, validates and saves checkpoints.

`gptkit.training.step` implements the optimizer step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.model.base import Model
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import RolloutObjective
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints.manifest import Base
from gptkit.training.checkpoints.save import PROGRESS, save_checkpoint
from gptkit.training.dataloader import TrainDataLoader
from gptkit.training.ema import EMA
from gptkit.training.full_state_dict import load_optimizer_state_dict
from gptkit.training.gradient_clipping import GradientClipper
from gptkit.training.interruptions import StopRequest
from gptkit.training.lightning_progress import set_progress, to_scalar, update_callback_metrics
from gptkit.training.setup import build_optimizer
from gptkit.training.step import optimizer_step
from gptkit.training.strategies import BatchLayout, apply_tensor_parallel, batch_layout
from gptkit.training.train_state import TrainState
from gptkit.training.validation import ValidationResult, validate


class TrainModule(lightning.LightningModule):
    """Trains one model with one objective. Callbacks read `state`, `settings`, `folder`, `model`, `objective` and `tokenizer`.

    The module runs validation itself, at the end of a step, and calls the callbacks' `on_validation_start` before and
    `on_validation_end` after it. In `on_validation_end`, `state.val_loss` is new. Metrics that a callback adds to
    `state.callback_metrics` in `on_validation_start` are logged with the validation loss.
    """

    automatic_optimization = False

    def __init__(
        self,
        *,
        settings: RunConfig,
        folder: Path,
        model: Model,
        objective: Objective,
        tokenizer: Tokenizer,
        datasets: dict[str, Dataset],
        micro_batch_size: int,
        last_step: int,
        horizon: int,
        sources: dict[str, str],
        ema: EMA | None = None,
        base: Base | None = None,
        restored_state: dict[str, Any] | None = None,
    ) -> None:
        """Store the components of a run.

        Args:
            settings: the settings of the run.
            folder: the run folder, where checkpoints are written.
            model: the model, with its initial or restored weights.
            objective: the objective, with its initial or restored weights.
            tokenizer: the tokenizer, which is saved with every checkpoint.
            datasets: "train", and "validation" if something is held out.
            micro_batch_size: sequences per device and forward pass; 0: determined by trial when training starts.
            last_step: the step at which the run ends.
            horizon: length of the run in tokens, which the learning rate schedule follows.
            sources: fingerprints of the training data; a resumed run must read the same data.
            ema: the moving average of the model's weights, if the run keeps one.
            base: the base of the model's adapter, if it has one.
            restored_state: the training state of the checkpoint from which the run resumes.
        """
        super().__init__()
        self.model = model
        self.objective = objective
        self.settings = settings
        self.folder = folder
        self.tokenizer = tokenizer
        self.datasets = datasets
        self.micro_batch_size = micro_batch_size
        self.horizon = horizon
        self.sources = sources
        self.ema = ema
        self.base = base
        self.restored_state = restored_state
        self.state = TrainState(last_step=last_step)
        if restored_state is not None:
            for name in PROGRESS:
                setattr(self.state, name, restored_state[name])
        self.saved_step = self.state.step if restored_state is not None else -1
        self.finished_early = restored_state is not None and bool(restored_state["finished_early"])
        self.stop_request = StopRequest()
        self.stop_signals = 0
        """Sum over all devices of the numbers of the signals received; 0: the run continues."""
        self.layout = BatchLayout()
        self.clipper = GradientClipper(settings.optimizer.clip)
        self.scaler: torch.amp.GradScaler | None = None
        """Scales the loss of fp16 training. It skips steps whose gradient is not finite and then lowers the scale."""
        self.pause_meter: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        """Returns a context manager for time that is not training. `fit` sets it to `SpeedMeter.pause`."""
        self.after_step: Callable[[], None] = lambda: None
        """Called after a step and its validation and checkpoint. `fit` sets it to the function that writes samples."""

    # -- set-up -------------------------------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Shard the layers if the strategy requires it, and compile the model.

        Lightning calls this after it has started the processes.
        """
        mesh = getattr(self, "_device_mesh", None)
        if mesh is not None:
            apply_tensor_parallel(self.model, mesh)
        if self.settings.compile:
            self.model.compile(dynamic=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rates = self.objective.learning_rates() if isinstance(self.objective, RolloutObjective) else {}
        optimizer = build_optimizer(self.settings.optimizer, self.trained_parameters(), rates)
        if self.restored_state is not None:
            load_optimizer_state_dict(optimizer, self.trained_parameters(), self.restored_state["optimizer"])
        return optimizer

    def trained_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Return the names and tensors of all trained parameters. Names begin with `model.` or `objective.`."""
        return [
            (name, parameter)
            for name, parameter in self.named_parameters()
            if parameter.requires_grad and name.startswith(("model.", "objective."))
        ]

    def train_dataloader(self) -> TrainDataLoader:
        self.layout = batch_layout(self.trainer)
        return TrainDataLoader(
            self.datasets["train"],
            seed=self.settings.seed,
            batch=self.settings.batch.size,
            start=self.state.step,
            stop=self.state.last_step,
            replica=self.layout.replica,
            replicas=self.layout.replicas,
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int = 0) -> Batch:
        return batch if device.type == "cpu" else {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}

    def on_train_start(self) -> None:
        self.scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if self.scaler is not None and self.restored_state is not None and self.restored_state["scaler"]:
            self.scaler.load_state_dict(self.restored_state["scaler"])
        is_resumed, self.restored_state = self.restored_state is not None, None
        if self.micro_batch_size == 0:
            from gptkit.training.auto_micro_batch import find_micro_batch_size

            self.micro_batch_size = find_micro_batch_size(self)
        self.stop_request.install()
        if is_resumed and _is_due(self.state.step, self.settings.val.every) and self.state.val_step != self.state.step:
            self.run_validation()  # the run was stopped when this validation was due

    # -- one step -----------------------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Perform one optimizer step."""
        optimizer_step(self, batch)
        set_progress(self.trainer, self.state.step)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Validate and save if due. Lightning calls this after the callbacks' hooks of the same step."""
        state, settings = self.state, self.settings
        is_last = state.step >= state.last_step
        is_stopping = bool(self.stop_signals) or self.trainer.should_stop
        validation_due = is_last or _is_due(state.step, settings.val.every)
        checkpoint_due = is_last or is_stopping or _is_due(state.step, settings.save.every)
        if validation_due or checkpoint_due:
            self.clipper.check_finite(step=state.step, lr=state.lr, saved_step=self.saved_step)
        if validation_due and not is_stopping:
            should_stop_before = self.trainer.should_stop
            self.run_validation()
            self.finished_early = self.trainer.should_stop and not should_stop_before
            checkpoint_due = checkpoint_due or self.finished_early
        if checkpoint_due:
            with self.pause_meter():
                self.write_checkpoint()
        self.after_step()
        if self.stop_signals:
            self.trainer.should_stop = True
        set_progress(self.trainer, state.step, counted=False)

    def run_validation(self) -> ValidationResult | None:
        """Compute the validation loss, store it in `state` and call the callbacks. Returns None if nothing is held out."""
        if "validation" not in self.datasets:
            return None
        with self.ema_weights():
            self._call_callbacks("on_validation_start")
            self._call_callbacks("on_validation_epoch_start")
            result = validate(self)
        state = self.state
        monitor = self.objective.monitor(result.metrics)
        state.monitor, state.monitor_mode = monitor.metric, monitor.mode
        state.value_to_minimize = self.objective.checkpoint_value(result.loss, result.metrics)
        state.val_loss, state.val_metrics, state.val_step = result.loss, result.metrics, state.step
        state.best_val_loss = result.loss if state.best_val_loss is None else min(result.loss, state.best_val_loss)
        metrics = {f"val/{name}": value for name, value in result.metrics.items()}
        update_callback_metrics(self.trainer, {"val/loss": result.loss, **metrics, **state.callback_metrics})
        self._call_callbacks("on_validation_epoch_end")
        self._call_callbacks("on_validation_end")
        return result

    def log(  # type: ignore[override]
        self, name: str, value: Any, *, logger: bool | None = None, sync_dist: bool = False, now: bool = False, **options: Any
    ) -> None:
        """Report a metric; callbacks call it as `self.log` or `pl_module.log`.

        The value is in `trainer.callback_metrics` at once, and in the next row of metrics.csv and of the loggers. Of several values
        before that row, the last one counts.

        Args:
            name: the column of metrics.csv, such as "my/metric".
            value: a number, a tensor with one element or a torchmetrics Metric.
            logger: False: only in `trainer.callback_metrics`.
            sync_dist: average over the devices; without it, the first device's value is written.
            now: write a row of this step, even if the run does not log at this step.
            options: Lightning's other options, which have no effect.
        """
        scalar = to_scalar(name, value, self.device)
        if sync_dist:
            scalar = self.trainer.strategy.reduce(scalar, reduce_op="mean")
        update_callback_metrics(self.trainer, {name: scalar})
        if logger is not False:
            self.state.logged[name] = scalar
            if now:
                self.state.row_step = self.state.step

    def log_dict(self, dictionary: Any, **options: Any) -> None:  # type: ignore[override]
        """Report several metrics; see `log`."""
        for name, value in dictionary.items():
            self.log(name, value, **options)

    def write_checkpoint(self) -> Path | None:
        """Write a checkpoint of the current state. Returns its folder on the first device, None on the others.

        Loggers write what they hold first, so that the log of a killed run has every step before the checkpoint.
        """
        for logger in self.trainer.loggers:
            logger.save()
        return save_checkpoint(self)

    # -- helpers ------------------------------------------------------------------------------------------------------------------

    def ema_weights(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the model has its averaged weights, if the run keeps them.

        Validation, samples and checkpoints use it.
        """
        return contextlib.nullcontext() if self.ema is None else self.ema.applied()

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over the slices of the batch."""
        if self.layout.replicas > 1:
            torch.distributed.all_reduce(tensor)
            tensor = tensor / self.layout.split
        return tensor

    def callbacks(self) -> list[lightning.Callback]:
        """Return the callbacks of the run, in the order in which Lightning calls them."""
        return self.trainer.callbacks  # type: ignore[attr-defined, no-any-return]

    def _call_callbacks(self, hook: str) -> None:
        for callback in self.callbacks():
            getattr(callback, hook)(self.trainer, self)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
