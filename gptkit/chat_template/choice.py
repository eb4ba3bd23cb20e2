"""The choice of a template: the one with which a model was trained, or the one that its tokenizer brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gptkit.chat_template import ChatTemplateConfig, OwnTemplateConfig
from gptkit.errors import ConfigError
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.tokenizer.base import Tokenizer


def config_of(run: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplateConfig | None:
    """Return the config of the template with which a model was trained, or else of its tokenizer's; None if there is neither.

    Args:
        run: the settings of the run, as plain values; empty if the model is not from a run.
        tokenizer: the tokenizer of the model.
    """
    return trained_config(run) or (OwnTemplateConfig() if tokenizer.chat_template else None)


def trained_config(run: Mapping[str, Any]) -> ChatTemplateConfig | None:
    """Return the config of the template with which a run trained; None if it used none.

    Raises:
        ConfigError: the template is of a plugin that is not installed.
    """
    settings = run.get("chat_template")
    config: ChatTemplateConfig | None = registry().resolve("chat_template", settings) if settings else None
    return config


def chat_template_of(run: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate | None:
    """Build the template of `config_of`.

    Raises:
        ConfigError: the template cannot be used with the tokenizer.
    """
    config = config_of(run, tokenizer)
    return None if config is None else config.build(tokenizer=tokenizer)


def missing_template(source: str) -> ConfigError:
    """Return the error for a chat with a model that has no template."""
    return ConfigError(
        f"chat=true: {source} was trained without a chat template, and its tokenizer brings none; set chat_template=, such as "
        "chat_template=chatml, or remove chat"
    )
