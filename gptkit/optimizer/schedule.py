"""The learning rate as a function of the number of tokens read.

A schedule in tokens instead of steps does not depend on the batch size. Source: "Language Models are Few-Shot
Learners", appendix B (GPT-3): linear warm-up over 375 million tokens, cosine decay to 10% of the peak at 260 billion, and 10%
from there to the end at 300 billion.
"""

from __future__ import annotations

import math

from gptkit.errors import ConfigError
from gptkit.optimizer import ScheduleConfig


def multiplier(tokens: int, *, schedule: ScheduleConfig, horizon: int, step: int = 0) -> float:
    """Return the learning rate after `tokens` tokens, as a fraction of its peak, from 0 to 1.

    Rises linearly from `start` to 1 during warm-up, then follows the shape to the floor at the end of the decay. The shape
    `constant` stays at 1 and ignores the floor. If `start` is above zero, it is the learning rate of the first update; if it is
    zero, the first update uses the learning rate at its end, since it would otherwise have no effect.

    Args:
        tokens: number of tokens read after the update.
        step: number of tokens that the update reads.
        schedule: the schedule. Its warm-up (below 1) and decay (at most 1) may be fractions of the run.
        horizon: length of the run in tokens.

    Raises:
        ConfigError: the warm-up does not end before the decay.
    """
    warmup, decay = warmup_and_decay_end(schedule, horizon=horizon)
    warmup_tokens = tokens - step if schedule.start else tokens
    if warmup_tokens < warmup:
        return schedule.start + (1.0 - schedule.start) * warmup_tokens / warmup
    if schedule.shape == "constant" or warmup >= decay:
        return 1.0
    progress = min(1.0, (tokens - warmup) / (decay - warmup))
    decay_factor = (1.0 + math.cos(math.pi * progress)) / 2.0 if schedule.shape == "cosine" else 1.0 - progress
    return schedule.floor + (1.0 - schedule.floor) * decay_factor


def warmup_and_decay_end(schedule: ScheduleConfig, *, horizon: int) -> tuple[float, float]:
    """Return the numbers of tokens at which warm-up and decay end.

    A warm-up in tokens may be longer than the run, for trying a few steps of a large run.

    Raises:
        ConfigError: the warm-up ends within the run, but not before the decay.
    """
    warmup = schedule.warmup * horizon if schedule.warmup < 1.0 else schedule.warmup
    decay = schedule.decay * horizon if schedule.decay <= 1.0 else schedule.decay
    if schedule.shape != "constant" and horizon > warmup >= decay:
        raise ConfigError(
            f"optimizer.schedule.warmup={schedule.warmup:g} ends after {warmup:.0f} tokens, but "
            f"optimizer.schedule.decay={schedule.decay:g} ends after {decay:.0f}; shorten the warm-up (below 1: a fraction of "
            "the run)"
        )
    return warmup, decay


def warmup_warning(schedule: ScheduleConfig, *, horizon: int) -> str:
    """Return a warning if the run ends within its warm-up, with an override that shortens it; empty otherwise."""
    warmup, _ = warmup_and_decay_end(schedule, horizon=horizon)
    if warmup <= horizon:
        return ""
    reached = schedule.start + (1.0 - schedule.start) * horizon / warmup
    return (
        f"the warm-up of {warmup:,.0f} tokens is longer than this run of {horizon:,}: the learning rate only rises, to "
        f"{reached:.2g} of its peak; append optimizer.schedule.warmup=0.02 to warm up over a fiftieth of the run"
    )
