"""Computes the length of a run in steps and tokens. Imports no torch, so that `gptkit plan` starts fast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError
from gptkit.run_config import RunConfig

if TYPE_CHECKING:
    from gptkit.data.dataset import Dataset


def run_length(settings: RunConfig, train: Dataset | None = None) -> tuple[int, int]:
    """Return the last step of a run, and its horizon: the number of tokens over which the learning rate schedule extends.

    Args:
        settings: the settings of the run.
        train: the training dataset. If the lengths of its items differ, a step counts the tokens of a mean batch. If None, every
            sequence counts as a full context, and `epochs` is ignored.

    Raises:
        ConfigError: `trainer.max_steps` is not a positive whole number.
    """
    lengths = None if train is None else train.lengths()
    tokens_per_item = settings.model.context if lengths is None else float(lengths.mean())
    tokens_per_step = settings.batch.size * tokens_per_item
    max_steps = settings.trainer.get("max_steps")
    if max_steps is None or max_steps == -1:
        if settings.epochs is not None and train is not None:
            steps = max(1, round(settings.epochs * len(train) / settings.batch.size))
            return steps, round(steps * tokens_per_step)
        return math.ceil(settings.tokens / tokens_per_step), settings.tokens
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise ConfigError(f"trainer.max_steps={max_steps} must be a whole number, at least 1")
    return max_steps, round(max_steps * tokens_per_step)


def describe_ignored_keys(settings: RunConfig) -> str:
    """Return a phrase of the start line that names the key which decides the length of the run and the keys that are ignored.

    It is empty if no key is ignored.
    """
    steps = settings.trainer.get("max_steps")
    length_keys = [] if steps in (None, -1) else ["trainer.max_steps"]
    length_keys += [] if settings.epochs is None else [f"epochs={settings.epochs:g}"]
    length_keys += [] if settings.tokens == RunConfig.tokens else [f"tokens={settings.tokens}"]
    decisive, *ignored = length_keys or [""]
    return f" ({decisive} decides, not {' or '.join(ignored)})" if ignored else ""
