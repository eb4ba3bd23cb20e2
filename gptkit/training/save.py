"""Write down a moment of a run as a checkpoint: the weights that it is used with, and what continuing it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gptkit.training.checkpoints.checkpoint import write_checkpoint
from gptkit.training.whole import copied, gathered, optimizer_state

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule


@torch.no_grad()
def save(module: TrainModule) -> Path | None:
    """A checkpoint of the module as it stands; gives its folder on the first device, None on the others. All must call it.

    Where an average of the weights is kept, the checkpoint's model is the average, and its state holds the weights themselves.
    """
    state, optimizer = module.state, module.trainer.optimizers[0]
    scaler = module.update.scaler
    own = {} if module.average is None else copied(gathered(module.model.state_dict()))
    with module.averaged():
        module.objective.settle(module.model)
        model_state = gathered(module.model.state_dict())
        if module.average is not None:
            model_state = copied(model_state)
    objective_state = gathered(module.objective.state_dict())
    kept = {
        "step": state.step,
        "tokens": state.tokens,
        "val_loss": state.val_loss,
        "val_metrics": dict(state.val_metrics),
        "val_step": state.val_step,
        "merit": state.merit,
        "compared_by": state.compared_by,
        "best_val_loss": state.best_val_loss,
        "weights": own,
        "micro": module.micro,
        "sources": module.sources,
        "finished_early": module.finished_early,
        "scaler": scaler.state_dict() if scaler is not None else {},
        "optimizer": optimizer_state(optimizer, module.trained_parameters()),
        "callbacks": {callback.state_key: callback.state_dict() for callback in module.callbacks()},
    }
    path = None
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
            val_loss=state.val_loss,
            merit=state.merit,
        )
    module.saved_step = state.step
    module.trainer.strategy.barrier("saved")
    return path
