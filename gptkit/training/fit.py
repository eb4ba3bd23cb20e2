"""Trains a run from its settings with Lightning's Trainer: starts it, or resumes the run in its folder."""

from __future__ import annotations

import contextlib
import functools
import signal
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from gptkit.atomic_io import continue_command
from gptkit.errors import ConfigError
from gptkit.mkl_mode import restore_mode
from gptkit.model.freed_memory import keep_freed_memory
from gptkit.optimizer.schedule import warmup_and_decay_end, warmup_warning
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.training.checkpoints import config_file
from gptkit.training.checkpoints.checkpoint import Checkpoint, latest_checkpoint, read_checkpoint, recover_unfinished
from gptkit.training.checkpoints.manifest import FILE as MANIFEST
from gptkit.training.checkpoints.save import read_training_state
from gptkit.training.device_memory import check_training_fits
from gptkit.training.duration import run_length
from gptkit.training.interruptions import report_rank_failures
from gptkit.training.lightning_progress import set_progress
from gptkit.training.module import TrainModule
from gptkit.training.own_callbacks import check_callbacks
from gptkit.training.precision import stored_dtype
from gptkit.training.reporting.callbacks import FILES, FOLDERS, ReportingCallback, build_reporting_callback
from gptkit.training.reporting.console_output import end_message, print_message, start_message
from gptkit.training.reporting.fault_tolerance import best_effort, move_obstacles_aside
from gptkit.training.reporting.loggers import RunLogger, check_loggers, start_loggers
from gptkit.training.reporting.metrics_csv import truncate_metrics
from gptkit.training.reporting.samples import truncate_samples
from gptkit.training.reporting.summary import read_summary, value_to_minimize
from gptkit.training.resume_compatibility import check_not_shorter, check_same_run, lock_run_folder
from gptkit.training.setup import build_components, check_adapter
from gptkit.training.strategies import check_batch_divides, is_first_process
from gptkit.training.trainer import build_trainer
from gptkit.training.trainer_arguments import check_trainer_arguments, precision_name


class Result(dict[str, Any]):
    """The content of summary.json, and the exit status of the run."""

    exit_status: int = 0
    """0, or 128 + the number of the signal that stopped the run, as in shells: 130 for Ctrl-C, 143 for SIGTERM."""

    @property
    def optimized_metric(self) -> float:
        """The value that a sweep minimises: the latest validation loss, or the negative of a monitored metric to maximise."""
        return value_to_minimize(self)


def fit(settings: RunConfig, folder: Path, callbacks: Sequence[lightning.Callback] = ()) -> Result:
    """Train to the end of the run, or until a signal stops it. Resumes the run in the folder if there is one.

    Args:
        settings: the run's settings, with `init_from` already applied.
        folder: the run folder, created if it does not exist.
        callbacks: Lightning callbacks besides those of the settings.

    Raises:
        ConfigError: the settings contradict each other, the machine, or the run in the folder.
        DataError, CheckpointError: data or a checkpoint cannot be read or written.
        GptkitError: the gradient is no longer finite.
    """
    arguments = check_trainer_arguments(settings.trainer)
    settings.trainer.update({name: value for name, value in arguments.items() if name == "precision"})  # its full name
    run_length(settings)
    check_adapter(settings)
    check_training_fits(settings, arguments)
    check_loggers(settings)
    own_callbacks = [*(registry().resolve("callback", part).build() for part in settings.callback.values()), *callbacks]
    check_callbacks(own_callbacks, has_logger=bool(settings.logger))
    trainer = build_trainer(arguments, folder, own_callbacks)
    check_batch_divides(trainer, settings.batch.size)
    with report_rank_failures(trainer), lock_run_folder(folder) if is_first_process() else contextlib.nullcontext():
        return fit_or_continue(settings, folder, trainer)


def fit_or_continue(settings: RunConfig, folder: Path, trainer: lightning.Trainer) -> Result:
    """Train in a locked folder: from the start, or from its latest checkpoint."""
    checkpoint, state = find_checkpoint_to_continue(settings, folder)
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    with torch.random.fork_rng(devices=[]):
        components = build_components(settings, checkpoint, state, folder=folder, dtype=stored_dtype(str(trainer.precision)))
        train_dataset = components.datasets["train"]
        last_step, horizon = run_length(settings, train_dataset)
        warmup_and_decay_end(settings.optimizer.schedule, horizon=horizon)
        if checkpoint is not None:
            before, _ = run_length(checkpoint.settings, train_dataset)
            check_not_shorter(folder, done=checkpoint.step, before=before, now=last_step)
        module = TrainModule(
            settings=settings,
            folder=folder,
            model=components.model,
            objective=components.objective,
            tokenizer=components.tokenizer,
            datasets=components.datasets,
            micro_batch_size=micro_batch_size(settings, state),
            last_step=last_step,
            horizon=horizon,
            sources=components.sources,
            ema=components.ema,
            base=components.base,
            restored_state=state,
        )
        if checkpoint is not None and (checkpoint.step >= last_step or module.finished_early):
            print_message(f"{folder} is finished after {checkpoint.step:,} steps; raise tokens or trainer.max_steps to continue it")
            if is_first_process():
                complete_finished_run(module, trainer, saved=(checkpoint.folder / MANIFEST).stat().st_mtime)
            return Result(read_summary(folder))
        if line := warmup_warning(settings.optimizer.schedule, horizon=horizon):
            print_message(line)
        return run(module, trainer)


def find_checkpoint_to_continue(settings: RunConfig, folder: Path) -> tuple[Checkpoint | None, dict[str, Any] | None]:
    """Return the checkpoint from which to resume and its training state. Both are None if the folder holds no run.

    Raises:
        ConfigError: the run in the folder has different settings.
        CheckpointError: no checkpoint is intact.
    """
    if is_first_process():
        recover_unfinished(folder)
    path = latest_checkpoint(folder)
    if path is None:
        return None, None
    checkpoint = read_checkpoint(path)
    before, now = with_full_precision_name(config_file.to_plain(checkpoint.settings)), config_file.to_plain(settings)
    state = read_training_state(checkpoint)
    check_same_run(folder, before, now, fingerprinted=state["sources"])
    restore_mode(state["matrix_products"])
    return checkpoint, state


def with_full_precision_name(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's settings with the full name of the precision; older runs stored it as typed."""
    trainer = dict(content.get("trainer") or {})
    if trainer.get("precision") is not None:
        trainer["precision"] = precision_name(trainer["precision"])
    return {**content, "trainer": trainer}


def micro_batch_size(settings: RunConfig, state: dict[str, Any] | None) -> int:
    """Return the sequences per forward pass, from the settings or the checkpoint; 0: `find_micro_batch_size` determines it."""
    if isinstance(settings.batch.micro, int):
        return settings.batch.micro
    return int(state["micro"]) if state is not None else 0


def run(module: TrainModule, trainer: lightning.Trainer) -> Result:
    """Train a module with Lightning and return its result."""
    settings, folder, state = module.settings, module.folder, module.state
    is_first = is_first_process()
    if is_first:
        folder.mkdir(parents=True, exist_ok=True)
        move_obstacles_aside(folder, files=FILES, folders=(*FOLDERS, *settings.logger))
        config_file.write_settings(folder / config_file.FILE, settings)
        truncate_metrics(folder, state.step)
        truncate_samples(folder, state.step)
    loggers = start_loggers(settings, folder, step=state.step)
    trainer.loggers = [each.logger for each in loggers]
    reporting = build_reporting(module, progress=bool(settings.trainer.get("enable_progress_bar", True)), loggers=loggers)
    module.pause_meter, module.after_step = reporting.meter.pause, functools.partial(reporting.after_step, trainer, module)
    callbacks: list[lightning.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.insert(0, reporting)
    if module.restored_state is not None:
        for callback in callbacks:
            if callback.state_key in module.restored_state["callbacks"]:
                callback.load_state_dict(module.restored_state["callbacks"][callback.state_key])
    set_progress(trainer, state.step)
    print_message(start_message(module, trainer))
    with warnings.catch_warnings():
        # lightning 2.6 uses a name that torch 2.13 will remove; a user cannot do anything about it
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning, module=r"lightning\.pytorch\.utilities")
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # reward models always are
        warnings.filterwarnings("ignore", message="The number of training batches")  # the last step is logged in any case
        try:
            trainer.fit(module)
        except MisconfigurationException as error:  # of a callback, which names itself
            raise ConfigError(str(error).strip().partition("\n")[0]) from error
    result = Result(read_summary(folder) if is_first else {})
    if state.step < state.last_step and not module.finished_early:
        signal_number = module.stop_request.signal or (signal.SIGTERM if module.stop_signals else 0)
        result.exit_status = 128 + signal_number if signal_number else 0
        print_message(
            f"stopped after {state.step:,} of {state.last_step:,} steps, saved in {folder}; {continue_command(folder)} continues it"
        )
    elif is_first:
        print_message(end_message(settings, folder))
    return result


def complete_finished_run(module: TrainModule, trainer: lightning.Trainer, *, saved: float) -> None:
    """Write the samples, summary and report if a finished run lacks them. `saved` is the time of its last checkpoint."""
    with best_effort("the missing samples, summary or report"):
        reporting = build_reporting(module, progress=False)
        if reporting.is_incomplete(module, saved):
            reporting.complete(trainer, module)


def build_reporting(module: TrainModule, *, progress: bool, loggers: Sequence[RunLogger] = ()) -> ReportingCallback:
    """Build the callback that reports on this run."""
    return build_reporting_callback(
        module.folder,
        module.settings,
        model=module.model,
        tokenizer=module.tokenizer,
        parameters=count_trained_parameters(module),
        progress=progress,
        loggers=loggers,
    )


def count_trained_parameters(module: TrainModule) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
