"""Checks `trainer.*`, the arguments of Lightning's Trainer by their own names, before a run reads data."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from gptkit.errors import ConfigError, did_you_mean

REPLACED_BY = {
    "gradient_clip_val": "gptkit clips gradients itself: set optimizer.clip",
    "gradient_clip_algorithm": "gptkit clips by global norm: set optimizer.clip",
    "accumulate_grad_batches": "gptkit accumulates gradients itself: set batch.size and batch.micro",
    "max_epochs": "set tokens, epochs or trainer.max_steps",
    "min_epochs": "set tokens, epochs or trainer.max_steps",
    "min_steps": "set tokens, epochs or trainer.max_steps",
    "val_check_interval": "set val.every",
    "check_val_every_n_epoch": "set val.every",
    "limit_val_batches": "set val.sequences",
    "limit_train_batches": "set tokens, epochs or trainer.max_steps",
    "overfit_batches": "set data.path to a small file",
    "num_sanity_val_steps": "set val.every",
    "fast_dev_run": "use trainer.max_steps=1, or +shrink=tiny",
    "enable_checkpointing": "gptkit writes checkpoints itself: set save.every and save.keep",
    "use_distributed_sampler": "gptkit gives each device its slice of the batch",
    "reload_dataloaders_every_n_epochs": "gptkit computes the batch of each step from its number",
    "callbacks": "add callbacks with +callback@callback.<any name>=<part>",
    "logger": "choose loggers with logger=<part>, such as logger=csv or logger=null",
    "plugins": "set trainer.precision and trainer.strategy",
    "inference_mode": "gptkit validates itself",
    "barebones": "it would disable the files that a run writes",
    "model_registry": "gptkit saves a run in its folder",
    "sync_batchnorm": "no model of gptkit has batch norms",
}
"""Arguments that gptkit decides, and the key to use instead."""

MAX_STEPS = "max_steps"

PRECISIONS = (
    *("32-true", "64-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed"),
    *("transformer-engine", "transformer-engine-float16"),
)
"""The full names of Lightning's precisions, which config.yaml holds."""

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
"""Valid values of arguments for which neither the type nor Lightning's own message states them."""


def check_trainer_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments to pass to Trainer, with the full name of the precision.

    `max_steps` is removed, because gptkit counts steps itself.

    Raises:
        ConfigError: a name is unknown, gptkit decides the argument, or a value is not of the type that Trainer declares. The
            message names the nearest argument, the key to use instead, or the type.
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
    """Return the full name of a precision: `fp16` and 16 are 16-mixed, `bf16` is bf16-mixed, `fp32` and 32 are 32-true.

    Raises:
        ConfigError: there is no precision of this name.
    """
    name = ALIASES.get(shorten(precision), shorten(precision))
    if name != "auto" and name not in PRECISIONS:
        near = did_you_mean(name, [*PRECISIONS, *ALIASES]) or f" There are auto, {', '.join(PRECISIONS)}."
        raise ConfigError(f"there is no trainer.precision={name}.{near}")
    return name


def matches_type(value: Any, declared: Any) -> bool:
    """Return whether a plain value (text, number, list, mapping) has a declared type. Only True and False have type bool."""
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (typing.Union, types.UnionType):
        return any(matches_type(value, each) for each in arguments)
    if origin is typing.Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin is list:
        return isinstance(value, list) and all(matches_type(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            matches_type(key, arguments[0]) and matches_type(each, arguments[1]) for key, each in value.items()
        )
    if isinstance(value, bool) or declared is bool:
        return isinstance(value, bool) and declared is bool
    return isinstance(value, (int, float) if declared is float else declared)


def describe_type(declared: Any) -> str:
    """Return a declared type in words. Classes that no plain value can have are omitted."""
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (typing.Union, types.UnionType):
        descriptions = [describe_type(each) for each in arguments]
        return " or ".join(dict.fromkeys(description for description in descriptions if description))
    if origin is typing.Literal:
        return " or ".join(map(str, arguments))
    if origin is list:
        return f"a list of {PLURAL_NAMES[arguments[0]]}"
    if origin is dict:
        return f"a mapping to {PLURAL_NAMES[arguments[1]]}"
    return TYPE_NAMES.get(declared, "")


TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
PLURAL_NAMES = {int: "whole numbers", float: "numbers", str: "texts"}


def hint(name: str) -> str:
    """Return the valid values of an argument as the end of a sentence; empty if `HINTS` has none."""
    return f"; {HINTS[name]}" if name in HINTS else ""


def shorten(value: Any) -> str:
    """Return a value as it is typed on the command line, shortened to 60 characters."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
