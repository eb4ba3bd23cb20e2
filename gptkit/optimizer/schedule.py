"""The learning rate as a function of the tokens that have been read.

Counting tokens rather than steps keeps a schedule where it was when the batch size changes. Source: "Language Models are Few-Shot
Learners", appendix B (GPT-3): linear warm-up over 375 million tokens, cosine decay to 10% of the peak at 260 billion, and 10%
from there to the end at 300 billion.
"""

from __future__ import annotations

import math

from gptkit.errors import ConfigError
from gptkit.optimizer import ScheduleConfig


def multiplier(tokens: int, *, schedule: ScheduleConfig, horizon: int, step: int = 0) -> float:
    """The learning rate after `tokens` tokens, as a fraction of its peak: 0 to 1.

    Rises linearly from `start` to 1 during warm-up, follows the shape down to the floor at the end of the decay, and stays there.
    The shape `constant` stays at 1 and knows no floor. A `start` above zero is what the first update has; where it is zero, the
    first update has what the warm-up has risen to when it is made, so that it moves.

    Args:
        tokens: tokens read when the update has been made.
        step: those of them that this update reads.
        schedule: its warm-up (below 1) and decay (at most 1) may be fractions of the run.
        horizon: length of the run in tokens.

    Raises:
        ConfigError: warm-up does not end before the decay does.
    """
    warmup, decay = warmup_and_decay_end(schedule, horizon=horizon)
    warmed = tokens - step if schedule.start else tokens
    if warmed < warmup:
        return schedule.start + (1.0 - schedule.start) * warmed / warmup
    if schedule.shape == "constant" or warmup >= decay:
        return 1.0
    progress = min(1.0, (tokens - warmup) / (decay - warmup))
    fall = (1.0 + math.cos(math.pi * progress)) / 2.0 if schedule.shape == "cosine" else 1.0 - progress
    return schedule.floor + (1.0 - schedule.floor) * fall


def warmup_and_decay_end(schedule: ScheduleConfig, *, horizon: int) -> tuple[float, float]:
    """The tokens at which warm-up and decay end.

    A warm-up that is given in tokens may be longer than the run: a few steps of a large run are tried so, and stay within it.

    Raises:
        ConfigError: warm-up ends within the run, and not before the decay does.
    """
    warmup = schedule.warmup * horizon if schedule.warmup < 1.0 else schedule.warmup
    decay = schedule.decay * horizon if schedule.decay <= 1.0 else schedule.decay
    if schedule.shape != "constant" and horizon > warmup >= decay:
        raise ConfigError(
            f"optimizer.schedule.warmup={schedule.warmup:g} ends after {warmup:.0f} tokens, but "
            f"optimizer.schedule.decay={schedule.decay:g} after {decay:.0f}; shorten the warm-up (below 1: a fraction of the run)"
        )
    return warmup, decay


def warmup_warning(schedule: ScheduleConfig, *, horizon: int) -> str:
    """The warning for a run that ends within its warm-up, with the override that shortens it; empty for any other run."""
    warmup, _ = warmup_and_decay_end(schedule, horizon=horizon)
    if warmup <= horizon:
        return ""
    reached = schedule.start + (1.0 - schedule.start) * horizon / warmup
    return (
        f"the warm-up of {warmup:,.0f} tokens is longer than this run of {horizon:,}: the learning rate only rises, to "
        f"{reached:.2g} of its peak; append optimizer.schedule.warmup=0.02 to warm up over a fiftieth of the run"
    )
