"""`trainer.*`: the arguments of Lightning's Trainer by their own names, checked before anything expensive happens."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from gptkit.errors import ConfigError, did_you_mean

REPLACED_BY = {
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

MAX_STEPS = "max_steps"

PRECISIONS = (
    *("32-true", "64-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed"),
    *("transformer-engine", "transformer-engine-float16"),
)
"""Lightning's precisions by the names that a run is told and compared by."""

ALIASES = {
    "16": "16-mixed",
    "bf16": "bf16-mixed",
    "32": "32-true",
    "64": "64-true",  # Lightning's own
    "fp16": "16-mixed",
    "fp32": "32-true",
    "fp64": "64-true",
}


AT_LEAST_ONE = ("log_every_n_steps", "num_nodes")

HINTS = {
    "max_time": "write days:hours:minutes:seconds, such as 00:12:00:00 for twelve hours",
    "devices": "write how many, or auto",
}
"""What to write, where neither the types nor Lightning's own words say it."""


def check_trainer_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments to give to Trainer, names of precisions as Lightning has them; `max_steps` is left out, because the kit counts
    steps itself.

    Raises:
        ConfigError: an unknown name (with the nearest), one that the kit decides (with the key that does it), or a value of a type
            that Trainer does not declare.
    """
    import lightning

    declared = typing.get_type_hints(lightning.Trainer.__init__)
    known = set(inspect.signature(lightning.Trainer).parameters)
    checked = {}
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(
                f"trainer.{name}: Lightning's Trainer has no such argument.{did_you_mean(name, sorted(known - set(REPLACED_BY)))}"
            )
        if value is None:
            continue
        if name in REPLACED_BY:
            raise ConfigError(f"trainer.{name} cannot be set: {REPLACED_BY[name]}")
        if name == MAX_STEPS:
            continue
        checked[name] = precision_name(value) if name == "precision" else value
        if name != "precision" and not matches_type(value, declared[name]):
            raise ConfigError(f"trainer.{name}={shorten(value)} must be {describe_type(declared[name])}{hint(name)}")
        if name in AT_LEAST_ONE and value < 1:
            raise ConfigError(f"trainer.{name}={value} must be at least 1")
    return checked


def precision_name(precision: Any) -> str:
    """A precision by its full name: `fp16` and 16 are 16-mixed, `bf16` is bf16-mixed, `fp32` and 32 are 32-true.

    Raises:
        ConfigError: there is none of this name.
    """
    name = ALIASES.get(shorten(precision), shorten(precision))
    if name != "auto" and name not in PRECISIONS:
        near = did_you_mean(name, [*PRECISIONS, *ALIASES]) or f" There are auto, {', '.join(PRECISIONS)}."
        raise ConfigError(f"there is no trainer.precision={name}.{near}")
    return name


def matches_type(value: Any, declared: Any) -> bool:
    """Whether a plain value (text, number, list, mapping) is of a declared type; only True and False are of type bool."""
    origin, of = typing.get_origin(declared), typing.get_args(declared)
    if origin in (typing.Union, types.UnionType):
        return any(matches_type(value, each) for each in of)
    if origin is typing.Literal:
        return any(value == each and type(value) is type(each) for each in of)
    if origin is list:
        return isinstance(value, list) and all(matches_type(each, of[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            matches_type(key, of[0]) and matches_type(each, of[1]) for key, each in value.items()
        )
    if isinstance(value, bool) or declared is bool:
        return isinstance(value, bool) and declared is bool
    return isinstance(value, (int, float) if declared is float else declared)


def describe_type(declared: Any) -> str:
    """A declared type in words; classes that no plain value is of are left out."""
    origin, of = typing.get_origin(declared), typing.get_args(declared)
    if origin in (typing.Union, types.UnionType):
        words = [describe_type(each) for each in of]
        return " or ".join(dict.fromkeys(word for word in words if word))
    if origin is typing.Literal:
        return " or ".join(map(str, of))
    if origin is list:
        return f"a list of {PLURAL[of[0]]}"
    if origin is dict:
        return f"a mapping to {PLURAL[of[1]]}"
    return WORDS.get(declared, "")


WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
PLURAL = {int: "whole numbers", float: "numbers", str: "texts"}


def hint(name: str) -> str:
    """What to write for an argument, as the end of a sentence."""
    return f"; {HINTS[name]}" if name in HINTS else ""


def shorten(value: Any) -> str:
    """A value as it is typed, shortened."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
