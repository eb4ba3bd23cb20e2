"""How long a run is, in steps and in tokens. Loads no torch, so that `gptkit plan` answers at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError
from gptkit.run_config import RunConfig

if TYPE_CHECKING:
    from gptkit.data.dataset import Dataset


def run_length(settings: RunConfig, train: Dataset | None = None) -> tuple[int, int]:
    """The step with which a run ends, and its horizon in tokens: what the learning rate's schedule follows.

    Args:
        settings: of the run.
        train: its training items; where their lengths differ, a step has as many tokens as a mean batch. Without them every
            sequence counts as full, and `epochs` is left aside.

    Raises:
        ConfigError: it has no step.
    """
    lengths = None if train is None else train.lengths()
    per_item = settings.model.context if lengths is None else float(lengths.mean())
    per_step = settings.batch.size * per_item
    max_steps = settings.trainer.get("max_steps")
    if max_steps is None or max_steps == -1:
        if settings.epochs is not None and train is not None:
            steps = max(1, round(settings.epochs * len(train) / settings.batch.size))
            return steps, round(steps * per_step)
        return math.ceil(settings.tokens / per_step), settings.tokens
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise ConfigError(f"trainer.max_steps={max_steps} must be a whole number, at least 1")
    return max_steps, round(max_steps * per_step)


def describe_ignored_keys(settings: RunConfig) -> str:
    """Which key decides how long the run is, where another one is given as well: a phrase of the line with which a run begins."""
    steps = settings.trainer.get("max_steps")
    length_keys = [] if steps in (None, -1) else ["trainer.max_steps"]
    length_keys += [] if settings.epochs is None else [f"epochs={settings.epochs:g}"]
    length_keys += [] if settings.tokens == RunConfig.tokens else [f"tokens={settings.tokens}"]
    decides, *ignored = length_keys or [""]
    return f" ({decides} decides, not {' or '.join(ignored)})" if ignored else ""
