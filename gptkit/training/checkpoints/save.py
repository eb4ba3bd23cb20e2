"""Collect the state of a run and save it as a checkpoint; read it back to continue the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gptkit.errors import CheckpointError
from gptkit.mkl_mode import current_mode
from gptkit.training.checkpoints.checkpoint import STATE, Checkpoint, write_checkpoint
from gptkit.training.checkpoints.migrations import current_state
from gptkit.training.checkpoints.schemas import check_state
from gptkit.training.full_state_dict import clone_tensors, optimizer_state_dict, unshard

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule

PROGRESS = ("step", "tokens", "val_loss", "val_metrics", "val_step", "rank", "monitor", "monitor_mode", "best_val_loss")
"""What is kept of `TrainState`."""

STATE_ENTRIES = (*PROGRESS, "weights", "micro", "sources", "matrix_products", "finished_early", "scaler", "optimizer", "callbacks")
"""All that a checkpoint's state holds."""


@torch.no_grad()
def save_checkpoint(module: TrainModule) -> Path | None:
    """A checkpoint of the module as it stands; gives its folder on the first device, None on the others. All must call it.

    Where an average of the weights is kept, the checkpoint's model is the average, and its state holds the weights themselves.
    """
    state, optimizer = module.state, module.trainer.optimizers[0]
    scaler = module.scaler
    own = {} if module.ema is None else clone_tensors(unshard(module.model.state_dict()))
    with module.ema_weights():
        module.objective.on_save_checkpoint(module.model)
        model_state = unshard(module.model.state_dict())
        if module.ema is not None:
            model_state = clone_tensors(model_state)
    objective_state = unshard(module.objective.state_dict())
    kept = {
        **{name: getattr(state, name) for name in PROGRESS},
        "weights": own,
        "micro": module.micro,
        "sources": module.sources,
        "matrix_products": current_mode(),
        "finished_early": module.finished_early,
        "scaler": scaler.state_dict() if scaler is not None else {},
        "optimizer": optimizer_state_dict(optimizer, module.trained_parameters()),
        "callbacks": {callback.state_key: callback.state_dict() for callback in module.callbacks()},
    }
    path = None
    validated = state.val_step == state.step  # what an earlier step was worth says nothing of these weights
    if module.trainer.is_global_zero:
        path = write_checkpoint(
            module.folder,
            step=state.step,
            model_state=model_state,
            objective_state=objective_state,
            state=kept,
            tokenizer=module.tokenizer,
            settings=module.settings,
            keep=module.settings.save.keep,
            val_loss=state.val_loss if validated else None,
            merit=state.rank if validated else None,
        )
    module.saved_step = state.step
    module.trainer.strategy.barrier("saved")
    return path


def read_training_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """What `save` kept beside the weights, under today's names, tensors on the CPU; read anew at every call.

    Raises:
        CheckpointError: something is not there, and nothing takes its place, or it is of another type than a run keeps.
    """
    where, written = str(checkpoint.folder / STATE), checkpoint.state
    check_state(written, step=checkpoint.step, where=where)
    state = current_state(written)
    missing = [name for name in STATE_ENTRIES if name not in state]
    if missing:
        raise CheckpointError(
            f"{checkpoint.folder}: another version of gptkit wrote it and did not keep {', '.join(missing)}, so the run cannot be "
            "continued; start anew from its weights: init_from=<this folder> and another hydra.run.dir"
        )
    check_state(state, step=checkpoint.step, where=where)
    return state
