"""The one LightningModule: how a run takes a step, validates and saves, whatever the model and the objective.

A step is one batch. Before any forward pass its counts are known, over all devices; every micro-batch's sums are divided by those
counts, so neither accumulation nor the number of devices changes the gradient. Dropout is seeded by (seed, step, slice,
micro-batch): a resumed run draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.model.base import Model
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective
from gptkit.optimizer.schedule import multiplier
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.dataloader import TrainDataLoader
from gptkit.training.ema import EMA
from gptkit.training.full_state_dict import load_optimizer_state_dict
from gptkit.training.interruptions import StopRequest
from gptkit.training.metric_accumulator import MetricAccumulator
from gptkit.training.save import PROGRESS, save_checkpoint
from gptkit.training.step import combine_terms, mix_seeds, seed_device, split_into_micro_batches
from gptkit.training.strategies import BatchLayout, apply_tensor_parallel, batch_layout, no_gradient_sync, sum_over_devices
from gptkit.training.train_state import TrainState
from gptkit.training.update import CONSTANT_LR, Update, build_optimizer
from gptkit.training.validation import ValidationResult, validate


class TrainModule(lightning.LightningModule):
    """Callbacks read `state`, `settings`, `folder`, `model`, `objective` and `tokenizer`.

    Validation is the kit's own, at the end of a step. Callbacks' `on_validation_start` and `on_validation_end` are called
    around it; by the latter `state.val_loss` is new. What a callback measures in the former and puts into `state.measured` is
    logged beside it.
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
        micro: int,
        last_step: int,
        horizon: int,
        sources: dict[str, str],
        average: EMA | None = None,
        restored: dict[str, Any] | None = None,
    ) -> None:
        """Put the pieces of a run together.

        Args:
            settings: of the run.
            folder: where checkpoints go.
            model: with its initial or restored weights.
            objective: with its initial or restored weights.
            tokenizer: saved with every checkpoint.
            datasets: "train", and "validation" where something is held out.
            micro: sequences per device and pass; 0: tried out when training starts.
            last_step: the step with which the run ends.
            horizon: length of the run in tokens, which the schedule follows.
            sources: fingerprints of what is learned from, which a run that is continued must find again.
            average: of the model's weights, where one is kept.
            restored: the `state` of the checkpoint that is continued.
        """
        super().__init__()
        self.model = model
        self.objective = objective
        self.settings = settings
        self.folder = folder
        self.tokenizer = tokenizer
        self.datasets = datasets
        self.micro = micro
        self.horizon = horizon
        self.sources = sources
        self.average = average
        self.restored = restored
        self.state = TrainState(last_step=last_step)
        if restored is not None:
            for name in PROGRESS:
                setattr(self.state, name, restored[name])
        self.saved_step = self.state.step if restored is not None else -1
        self.stop = StopRequest()
        self.finished_early = restored is not None and bool(restored["finished_early"])
        self.layout = BatchLayout()
        self.paused: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        """What time that is not training is spent in; the run's speed meter puts itself here."""
        self.after_step: Callable[[], None] = lambda: None
        """Called when a step is done, validated and saved; the run's samples put themselves here."""
        self.stopping = 0
        self.update: Update

    # -- set-up, called by Lightning ----------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Shard and split the model where the strategy asks for it, and compile it; called once the processes stand."""
        mesh = getattr(self, "_device_mesh", None)
        if mesh is not None:
            apply_tensor_parallel(self.model, mesh)
        if self.settings.compile:
            self.model.compile(dynamic=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rates = self.objective.learning_rates() if isinstance(self.objective, RolloutObjective) else {}
        optimizer = build_optimizer(self.settings.optimizer, self.trained_parameters(), rates)
        if self.restored is not None:
            load_optimizer_state_dict(optimizer, self.trained_parameters(), self.restored["optimizer"])
        self.update = Update(optimizer, clip=self.settings.optimizer.clip)
        return optimizer

    def trained_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Names and tensors of what is trained: `model.` and `objective.` and their own names."""
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
        scaler = self.update.scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and self.restored is not None and self.restored["scaler"]:
            scaler.load_state_dict(self.restored["scaler"])
        resumed, self.restored = self.restored is not None, None
        if self.micro == 0:
            from gptkit.training.auto_micro_batch import find_micro_batch_size

            self.micro = find_micro_batch_size(self)
        self.stop.listen()
        if resumed and _due(self.state.step, self.settings.val.every) and self.state.val_step != self.state.step:
            self.run_validation()  # the run was stopped when this was due

    # -- one step -----------------------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One optimizer step (several where the objective's rollout gives several minibatches)."""
        state = self.state
        tokens, stops = sum_over_devices([self.objective.tokens(batch), self.stop.signal], self.device, self.layout)
        self.stopping = int(stops)
        state.tokens += int(tokens)
        state.lr = self._set_learning_rates(state.tokens, step=int(tokens))
        seed = mix_seeds(self.settings.seed, state.step)
        tally = MetricAccumulator()
        for number, minibatch in enumerate(self._minibatches(batch, seed)):
            self._update(minibatch, number, tally)
        state.loss, state.metrics = tally.loss(), tally.means(self._total if self.layout.replicas > 1 else None)
        state.step += 1

    def _minibatches(self, batch: Batch, seed: int) -> Iterable[Minibatch]:
        if isinstance(self.objective, RolloutObjective):
            return self.objective.rollout(self.model, batch, seed=seed, total=self._total)
        return [{"train": batch}]

    def _total(self, tensor: Tensor) -> Tensor:
        if self.layout.replicas > 1:
            torch.distributed.all_reduce(tensor)
            tensor = tensor / self.layout.split
        return tensor

    def _seed(self, *place: int) -> int:
        return mix_seeds(self.settings.seed, self.state.step, self.layout.replica, *place)

    def _set_learning_rates(self, tokens: int, *, step: int) -> float:
        factor = multiplier(tokens, schedule=self.settings.optimizer.schedule, horizon=self.horizon, step=step)
        groups = self.trainer.optimizers[0].param_groups
        for group in groups:
            group["lr"] = group["peak_lr"] * (1.0 if group.get(CONSTANT_LR) else factor)
        return float(max(group["lr"] for group in groups if not group.get(CONSTANT_LR)))

    def _update(self, minibatch: Minibatch, number: int, tally: MetricAccumulator) -> None:
        """Accumulate the gradient of the minibatch over micro-batches, clip it, and move the weights."""
        torch.clear_autocast_cache()  # it holds weights from before the last update, or without gradients
        counts = Counter[str]()
        for batch in minibatch.values():
            counts.update(self.objective.counts(batch))
        if self.layout.replicas > 1:
            sums = sum_over_devices(list(counts.values()), self.device, self.layout)
            counts = Counter({name: int(total) for name, total in zip(counts, sums, strict=True)})
        pieces = [(name, piece) for name, batch in minibatch.items() for piece in split_into_micro_batches(batch, self.micro)]
        total: Tensor | None = None
        timed = list(minibatch) != ["train"]
        for place, (name, piece) in enumerate(pieces):
            last = place == len(pieces) - 1
            with contextlib.nullcontext() if last else no_gradient_sync(self.trainer), tally.time_of(name, timed):
                loss = self._accumulate(piece, counts, tally, number, place)
            total = loss if total is None else total + loss
        assert total is not None
        if self.layout.replicas > 1:
            torch.distributed.all_reduce(total)
            total = total / (self.layout.replicas * self.layout.split)  # each loss was made `replicas` times larger
        tally.add_loss(total)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        self.state.grad_norm = self.update.apply(optimizer, step=self.state.step + 1, lr=self.state.lr, saved_step=self.saved_step)
        if self.average is not None:
            self.average.update()

    def _accumulate(self, piece: Batch, counts: Mapping[str, int], tally: MetricAccumulator, number: int, place: int) -> Tensor:
        seed_device(self.device, self._seed(number, place))
        terms, measured = self.objective.loss(self.model, piece)
        loss = combine_terms(terms, counts)
        if self.layout.replicas > 1:
            loss = loss * self.layout.replicas  # DDP and FSDP average gradients over them; the counts already do
        self.manual_backward(loss)
        tally.add(measured, len(piece["tokens"]))
        return loss.detach()

    # -- between steps ------------------------------------------------------------------------------------------------------------

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Validate and save where it is time, after callbacks have seen the step."""
        state, settings = self.state, self.settings
        is_last = state.step >= state.last_step
        is_stopping = bool(self.stopping) or self.trainer.should_stop
        validation_due = is_last or _due(state.step, settings.val.every)
        save_due = is_last or is_stopping or _due(state.step, settings.save.every)
        if validation_due or save_due:
            self.update.look(step=state.step, lr=state.lr, saved_step=self.saved_step)
        if validation_due and not is_stopping:
            should_stop_before = self.trainer.should_stop
            self.run_validation()
            self.finished_early = self.trainer.should_stop and not should_stop_before
            save_due = save_due or self.finished_early
        if save_due:
            with self.paused():
                self.write_checkpoint()
        self.after_step()
        if self.stopping:
            self.trainer.should_stop = True

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Within, the model's weights are their average where one is kept: what is validated, sampled and saved."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def run_validation(self) -> ValidationResult | None:
        """Measure the validation loss, write it into `state`, and tell the callbacks; None where nothing is held out."""
        if "validation" not in self.datasets:
            return None
        with self.averaged():
            self._tell("on_validation_start")
            found = validate(self)
        state = self.state
        monitor = self.objective.monitor(found.metrics)
        state.monitor, state.monitor_mode = monitor.metric, monitor.mode
        state.rank = self.objective.checkpoint_rank(found.loss, found.metrics)
        state.val_loss, state.val_metrics, state.val_step = found.loss, found.metrics, state.step
        state.best_val_loss = found.loss if state.best_val_loss is None else min(found.loss, state.best_val_loss)
        self._tell("on_validation_end")
        return found

    def write_checkpoint(self) -> Path | None:
        """Write a checkpoint of this moment; gives its folder on the first device, None on the others."""
        return save_checkpoint(self)

    def callbacks(self) -> list[lightning.Callback]:
        """Those of the run, as Lightning calls them."""
        return self.trainer.callbacks  # type: ignore[attr-defined, no-any-return]

    def _tell(self, event: str) -> None:
        for callback in self.callbacks():
            getattr(callback, event)(self.trainer, self)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
