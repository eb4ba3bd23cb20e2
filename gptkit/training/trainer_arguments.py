"""`trainer.*`: the arguments of Lightning's Trainer by their own names, checked before anything expensive happens."""

from __future__ import annotations

import inspect
from typing import Any

from gptkit.errors import ConfigError, did_you_mean

TAKEN = {
    "gradient_clip_val": "the kit clips by itself: set optimizer.clip",
    "gradient_clip_algorithm": "the kit clips by global norm: set optimizer.clip",
    "accumulate_grad_batches": "the kit accumulates by itself: set batch.size and batch.micro",
    "max_epochs": "a run's length is tokens, or trainer.max_steps",
    "min_epochs": "a run's length is tokens, or trainer.max_steps",
    "min_steps": "a run's length is tokens, or trainer.max_steps",
    "val_check_interval": "set val.every",
    "check_val_every_n_epoch": "set val.every",
    "limit_val_batches": "set val.sequences",
    "limit_train_batches": "a run's length is tokens, or trainer.max_steps",
    "overfit_batches": "name a small file in data.path instead",
    "num_sanity_val_steps": "set val.every",
    "fast_dev_run": "use trainer.max_steps=1, or +shrink=tiny",
    "enable_checkpointing": "the kit writes checkpoints: set save.every and save.keep",
    "use_distributed_sampler": "the kit gives each device its slice of the batch",
    "reload_dataloaders_every_n_epochs": "the kit feeds batches by step",
    "callbacks": "add callbacks by +callback@callback.<any name>=<part>",
    "logger": "the kit logs to metrics.csv and TensorBoard in the run folder",
    "plugins": "set trainer.precision and trainer.strategy",
    "inference_mode": "the kit validates by itself",
    "barebones": "it would switch off what a run leaves on disk",
    "model_registry": "a run is a folder",
    "sync_batchnorm": "no model here has batch norms",
}
"""Arguments that the kit decides, and the key that does it instead."""

LENGTH = "max_steps"


def check_trainer_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments to give to Trainer as they stand; `max_steps` is left out, because the kit counts steps itself.

    Raises:
        ConfigError: an unknown name (with the nearest), or one that the kit decides (with the key that does it).
    """
    import lightning

    known = set(inspect.signature(lightning.Trainer).parameters)
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(
                f"trainer.{name}: Lightning's Trainer has no such argument.{did_you_mean(name, sorted(known - set(TAKEN)))}"
            )
        if name in TAKEN and value is not None:
            raise ConfigError(f"trainer.{name} cannot be set: {TAKEN[name]}")
    return {name: value for name, value in arguments.items() if name != LENGTH and value is not None}
