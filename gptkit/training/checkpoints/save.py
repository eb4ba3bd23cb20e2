"""Collects the state of a run and saves it as a checkpoint; reads it back to resume the run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from gptkit.atomic_io import (
    DISK_FULL_ERRORS,
    WRITING,
    continue_command,
    disk_error,
    remove_path,
    replace_folder,
    sync_tree,
)
from gptkit.errors import CheckpointError
from gptkit.mkl_mode import current_mode
from gptkit.model.adapted import without_base
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints import config_file
from gptkit.training.checkpoints.checkpoint import ADAPTER, MODEL, OBJECTIVE, STATE, TOKENIZER, Checkpoint
from gptkit.training.checkpoints.manifest import FILE as MANIFEST
from gptkit.training.checkpoints.manifest import (
    Base,
    Manifest,
    checkpoint_folder,
    describe_files,
    describe_hub,
    describe_parts,
    is_finite,
    read_manifest,
    to_json,
)
from gptkit.training.checkpoints.migrations import current_state
from gptkit.training.checkpoints.retention import list_checkpoints, remove_old_checkpoints
from gptkit.training.checkpoints.schemas import check_state
from gptkit.training.checkpoints.serialization import write_state, write_tensors
from gptkit.training.full_state_dict import clone_tensors, optimizer_state_dict, unshard

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule

PROGRESS = (
    "step",
    "tokens",
    "val_loss",
    "val_metrics",
    "val_step",
    "value_to_minimize",
    "monitor",
    "monitor_mode",
    "best_val_loss",
)
"""The attributes of `TrainState` that a checkpoint holds."""

STATE_ENTRIES = (*PROGRESS, "weights", "micro", "sources", "matrix_products", "finished_early", "scaler", "optimizer", "callbacks")
"""All entries of a checkpoint's training state."""


@torch.no_grad()
def save_checkpoint(module: TrainModule) -> Path | None:
    """Save a checkpoint of the module. Returns its folder on the first device, None on the others. All devices must call it.

    If the run keeps an average of the weights, the checkpoint's model is the average, and its state holds the weights themselves.
    """
    state, optimizer = module.state, module.trainer.optimizers[0]
    scaler = module.scaler
    model, objective = module.model, module.objective
    weights = {} if module.ema is None else clone_tensors(without_base(model, unshard(model.state_dict())))
    with module.ema_weights():
        objective.on_save_checkpoint(model)
        model_state = without_base(model, unshard(model.state_dict()))
        if module.ema is not None:
            model_state = clone_tensors(model_state)
    objective_state = without_base(objective, unshard(objective.state_dict()))
    training_state = {
        **{name: getattr(state, name) for name in PROGRESS},
        "weights": weights,
        "micro": module.micro_batch_size,
        "sources": module.sources,
        "matrix_products": current_mode(),
        "finished_early": module.finished_early,
        "scaler": scaler.state_dict() if scaler is not None else {},
        "optimizer": optimizer_state_dict(optimizer, module.trained_parameters()),
        "callbacks": {callback.state_key: callback.state_dict() for callback in module.callbacks()},
    }
    path = None
    is_validated = state.val_step == state.step  # the loss of an earlier step does not describe these weights
    if module.trainer.is_global_zero:
        path = write_checkpoint(
            module.folder,
            step=state.step,
            model_state=model_state,
            objective_state=objective_state,
            state=training_state,
            tokenizer=module.tokenizer,
            settings=module.settings,
            base=module.base,
            keep=module.settings.save.keep,
            val_loss=state.val_loss if is_validated else None,
            value_to_minimize=state.value_to_minimize if is_validated else None,
        )
    module.saved_step = state.step
    module.trainer.strategy.barrier("saved")
    return path


def write_checkpoint(
    run: Path,
    *,
    step: int,
    model_state: Mapping[str, Tensor],
    objective_state: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    tokenizer: Tokenizer,
    settings: RunConfig,
    base: Base | None = None,
    keep: int,
    val_loss: float | None,
    value_to_minimize: float | None,
) -> Path:
    """Write `run`/checkpoints/step-<step>, remove old checkpoints and return the folder.

    Args:
        run: the run folder.
        step: the number of completed steps.
        model_state: the model's state_dict, with full tensors; with a base, that of its adapter.
        objective_state: the objective's state_dict, if it has weights.
        state: the remaining state of the run: tensors and plain values, nested in dicts, lists and tuples.
        tokenizer: the tokenizer, which is saved with the weights, so that the checkpoint needs no other file.
        settings: the run's settings.
        base: the base of the model's adapter, which the checkpoint does not hold; None: the model has no adapter.
        keep: the number of newest checkpoints to keep besides the best; 0: all.
        val_loss: the validation loss of these weights, in nats per token for `lm`; None: not validated.
        value_to_minimize: the value of the latest validation that the best checkpoint minimizes.

    Raises:
        CheckpointError: the checkpoint cannot be written, for example because the disk is full. Earlier checkpoints are unchanged.
    """
    target = checkpoint_folder(run, step)
    unfinished = target.with_name(f"{WRITING}{target.name}")
    try:
        remove_path(unfinished)
        (unfinished / TOKENIZER).mkdir(parents=True)
        write_tensors(unfinished / (MODEL if base is None else ADAPTER), model_state)
        if objective_state:
            write_tensors(unfinished / OBJECTIVE, objective_state)
        write_state(unfinished / STATE, state)
        tokenizer.save(unfinished / TOKENIZER)
        config_file.write_settings(unfinished / config_file.FILE, settings)
        manifest = Manifest(
            step=step,
            val_loss=val_loss if is_finite(val_loss) else None,
            value_to_minimize=value_to_minimize if is_finite(value_to_minimize) else None,
            files=describe_files(unfinished),
            parts=describe_parts(config_file.to_plain(settings)),
            tokenizer=tokenizer.fingerprint,
            vocabulary=tokenizer.size,
            hub=describe_hub(config_file.to_plain(settings), _previous_hub_commits(run)),
            base=base,
        )
        (unfinished / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
        sync_tree(unfinished)
        replace_folder(unfinished, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove_path(unfinished)
        is_system_error = isinstance(error, OSError | RuntimeError | SafetensorError) or isinstance(error.__cause__, OSError)
        if is_system_error:
            raise _write_error(target, error) from error
        raise
    remove_old_checkpoints(run, step, keep)
    return target


def read_training_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the training state of a checkpoint with current names and tensors on the CPU. Every call reads the file again.

    Raises:
        CheckpointError: a required entry is missing, or an entry has another type than a run writes.
    """
    where, saved_state = str(checkpoint.folder / STATE), checkpoint.state
    check_state(saved_state, step=checkpoint.step, where=where)
    state = current_state(saved_state)
    missing = [name for name in STATE_ENTRIES if name not in state]
    if missing:
        raise CheckpointError(
            f"{checkpoint.folder}: was written by another version of gptkit without {', '.join(missing)}, so the run cannot be "
            "continued; start a new run from its weights with init_from=<this folder> and another hydra.run.dir"
        )
    check_state(state, step=checkpoint.step, where=where)
    return state


def _write_error(target: Path, error: BaseException) -> CheckpointError:
    cause = disk_error(error)
    if cause is not None and cause.errno in DISK_FULL_ERRORS:
        return CheckpointError(
            f"{target}: the disk is full, so this checkpoint was not saved; earlier checkpoints are unchanged. "
            f"Free some space, then {continue_command(target.parent.parent)} continues the run"
        )
    reason = (cause.strerror if cause is not None else None) or str(error).partition("\n")[0]
    return CheckpointError(f"{target}: could not be saved ({reason}); earlier checkpoints are unchanged")


def _previous_hub_commits(run: Path) -> Mapping[str, str]:
    """Return the hub commits in the manifest of the run's newest checkpoint."""
    for folder in list_checkpoints(run):
        with contextlib.suppress(CheckpointError):
            return read_manifest(folder).hub
    return {}
