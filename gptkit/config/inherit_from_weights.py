"""Inherit model, attention and tokenizer from the weights of `init_from`. They take precedence over papers and defaults.

A key on the command line that disagrees with the weights is an error, except those in `ModelConfig.adjustable`. Another attention
may be chosen if the weights fit it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gptkit.chat_template import ChatTemplateConfig, PlainConfig
from gptkit.command import Command
from gptkit.errors import ConfigError
from gptkit.run_config import RunConfig
from gptkit.tokenizer import TokenizerConfig
from gptkit.training.pretraining_source import resolve_pretraining_source


def inherit_settings(settings: Command, overrides: Sequence[str]) -> Command:
    """Return the settings with the parts that `init_from` or the model provides. Returns them unchanged if nothing is inherited.

    Args:
        settings: the composed settings.
        overrides: the overrides of the command line.

    Raises:
        ConfigError: an override disagrees with the weights, or sets a key of a part that the model replaces.
    """
    return _inherit(settings, overrides) if isinstance(settings, RunConfig) else settings


def _inherit(settings: RunConfig, overrides: Sequence[str]) -> Any:
    settings = resolve_pretraining_source(settings)
    typed = [word.lstrip("+").partition("=")[0] for word in overrides]
    if settings.init_from is None:
        model_parts: dict[str, Any] = {
            kind: part for kind, part in settings.model.companions().items() if kind == "model" or kind not in typed
        }
        _check_replaced_keys(settings, model_parts, typed)
        settings = dataclasses.replace(settings, **model_parts)
        return dataclasses.replace(settings, chat_template=_chat_template(settings, typed, None))
    from gptkit.training.checkpoints.load import initial_settings

    source = initial_settings(settings.init_from, settings.tokenizer if _is_typed("tokenizer", typed) else None)
    adjustable = source.model.adjustable
    _check_typed_keys("model", settings.model, source.model, typed, settings.init_from, free=adjustable)
    _check_typed_keys("tokenizer", settings.tokenizer, source.tokenizer, typed, settings.init_from)
    own_keys = [key for key in adjustable if key in source.undecided or f"model.{key}" in typed]
    return dataclasses.replace(
        settings,
        model=dataclasses.replace(source.model, **{key: getattr(settings.model, key) for key in own_keys}),
        tokenizer=source.tokenizer,
        attention=settings.attention if _is_typed("attention", typed) else source.attention,
        chat_template=_chat_template(settings, typed, source.chat_template),
    )


def _chat_template(settings: RunConfig, typed: Sequence[str], inherited: ChatTemplateConfig | None) -> ChatTemplateConfig | None:
    """Return the template of the run as checkpoints store it: the chosen one, that of the weights, or `plain`.

    Raises:
        ConfigError: a template is typed for an objective that uses none, or its file cannot be read.
    """
    if not settings.objective.uses_chat_template:
        if settings.chat_template is not None and _is_typed("chat_template", typed):
            name = settings.objective.name
            raise ConfigError(
                f"objective={name} uses no chat template; remove chat_template, or use another objective, such as sft"
            )
        return None
    chosen = settings.chat_template if _is_typed("chat_template", typed) else inherited or settings.chat_template
    return (chosen or PlainConfig()).stored()


def apply_weights_sizes(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return a composed config whose model has the sizes of `init_from`. A typed key may be invalid with the default sizes.

    Raises:
        ConfigError: a typed key disagrees with the weights.
        CheckpointError: the weights cannot be read.
    """
    from gptkit.training.checkpoints.load import initial_settings

    typed = [word.lstrip("+").partition("=")[0] for word in overrides]
    own = OmegaConf.to_object(config.tokenizer) if _is_typed("tokenizer", typed) else None
    source = initial_settings(config.init_from, own if isinstance(own, TokenizerConfig) else None)
    _check_typed_keys("model", config.model, source.model, typed, config.init_from, free=source.model.adjustable)
    sized = copy.deepcopy(config)
    if config.model.name == source.model.name:
        for field in dataclasses.fields(source.model):
            if field.name not in source.model.adjustable:
                sized.model[field.name] = getattr(source.model, field.name)
    return sized


def _is_typed(kind: str, typed: Sequence[str]) -> bool:
    """Whether an override chooses this part, or sets one of its keys."""
    return any(key == kind or key.startswith(f"{kind}.") for key in typed)


def _check_replaced_keys(settings: RunConfig, model_parts: dict[str, Any], typed: Sequence[str]) -> None:
    """Check that no typed key belongs to a part that the model replaces with its own."""
    for kind in model_parts:
        ignored_key = next((key for key in typed if key.startswith(f"{kind}.")), None)
        if kind not in ("model", "chat_template") and ignored_key is not None:
            model, selected, own = settings.model.name, getattr(settings, kind).name, model_parts[kind].name
            raise ConfigError(
                f"{ignored_key} is a key of {kind}={selected}, but model={model} uses {kind}={own}; "
                f"add {kind}={selected}, or remove {ignored_key}"
            )


def _check_typed_keys(
    kind: str, configured: Any, inherited: Any, typed: Sequence[str], source: str, free: tuple[str, ...] = ()
) -> None:
    """Check that the typed keys of a part agree with the weights."""
    if kind in typed and configured.name != inherited.name:
        raise ConfigError(f"{kind}={configured.name} disagrees with {source}, which has {kind}={inherited.name}; remove it")
    for key in typed:
        owner, _, name = key.partition(".")
        if owner != kind or not name or name in free:
            continue
        inherited_value = getattr(inherited, name, None)
        if hasattr(inherited, name) and getattr(configured, name, inherited_value) != inherited_value:
            raise ConfigError(
                f"{key}={getattr(configured, name)} disagrees with {source}, which has {key}={inherited_value}; remove it"
            )
