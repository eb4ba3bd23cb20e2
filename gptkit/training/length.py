"""How long a run is: in tokens, or in optimizer steps where `trainer.max_steps` says so."""

from __future__ import annotations

from gptkit.command import Training
from gptkit.errors import ConfigError


def length_of(settings: Training) -> tuple[int, int]:
    """The step with which a run ends, and its horizon in tokens: what the learning rate's schedule follows.

    Raises:
        ConfigError: it has no step.
    """
    per_step = settings.batch.size * settings.model.context
    given = settings.trainer.get("max_steps")
    if given is None or given == -1:
        if settings.tokens < 1:
            raise ConfigError(f"tokens={settings.tokens} must be at least 1")
        return -(-settings.tokens // per_step), settings.tokens
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ConfigError(f"trainer.max_steps={given} must be a whole number, at least 1")
    return given, given * per_step
