"""What a run that starts from weights takes over from them: model, attention and tokenizer, above paper and defaults.

A key typed on the command line that disagrees is an error, except `model.dropout`; attention may be swapped where the weights fit.
An objective that mixes pre-training text in reads, unless it is told otherwise, what the weights were pre-trained on.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gptkit.command import Command
from gptkit.errors import CheckpointError, ConfigError
from gptkit.plugins import registry
from gptkit.records import Document
from gptkit.run_config import RunConfig
from gptkit.tokenizer import TokenizerConfig

EMBEDDED = {"name": "sotu"}
"""The pre-training text of a run whose model was never pre-trained: of an experiment."""


def inherit_settings(settings: Command, overrides: Sequence[str]) -> Command:
    """The settings with what `init_from` decides, or what the model brings; unchanged where nothing is inherited.

    Args:
        settings: as composed.
        overrides: the words of the command line.

    Raises:
        ConfigError: a word of the command line disagrees with the weights, or sets a key of a part that the model replaces.
    """
    return _inherited(settings, overrides) if isinstance(settings, RunConfig) else settings


def _inherited(settings: RunConfig, overrides: Sequence[str]) -> Any:
    settings = with_pretraining_text(settings)
    typed = [word.lstrip("+").partition("=")[0] for word in overrides]
    if settings.init_from is None:
        brought: dict[str, Any] = {
            kind: part for kind, part in settings.model.companions().items() if kind == "model" or kind not in typed
        }
        _check_replaced(settings, brought, typed)
        return dataclasses.replace(settings, **brought)
    from gptkit.training.checkpoints.load import initial_settings

    source = initial_settings(settings.init_from, settings.tokenizer if _is_typed("tokenizer", typed) else None)
    _check("model", settings.model, source.model, typed, settings.init_from, free=("dropout",))
    _check("tokenizer", settings.tokenizer, source.tokenizer, typed, settings.init_from)
    return dataclasses.replace(
        settings,
        model=dataclasses.replace(source.model, dropout=settings.model.dropout),
        tokenizer=source.tokenizer,
        attention=settings.attention if _is_typed("attention", typed) else source.attention,
    )


def with_pretraining_text(settings: RunConfig) -> RunConfig:
    """The settings with the source of pre-training text in the place of `auto`, where the objective mixes such text in.

    Raises:
        ConfigError: nothing tells what the weights of `init_from` were pre-trained on.
    """
    key = settings.objective.mixes_in()
    if not key or getattr(settings.objective, key).get("name") != "auto":
        return settings
    found: dict[str, Any] = {
        key: EMBEDDED if settings.init_from is None else _pretrained_on(settings.init_from, f"objective.{key}")
    }
    return dataclasses.replace(settings, objective=dataclasses.replace(settings.objective, **found))


def _pretrained_on(init_from: str, key: str) -> dict[str, Any]:
    """The source of the run with which the weights began: the first one back that learned from documents."""
    from gptkit.training.checkpoints.load import HUB, run_settings

    source: str | None = init_from
    try:
        while source is not None and not source.startswith(HUB):
            run = run_settings(source)
            if registry().find("objective", run["objective"]["name"]).part.record is Document:
                return dict(run["data"])
            source = run["init_from"]
        why = f"init_from={init_from} does not tell which text it was pre-trained on"
    except CheckpointError as error:
        why = f"which text init_from={init_from} was pre-trained on cannot be read ({error})"
    raise ConfigError(f"{why}; give {key}={{name:text,path:<files>}}, or another source")


def with_weights_sizes(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """A composed tree whose model has the values of `init_from`, because a typed key may not go with those of the defaults.

    Raises:
        ConfigError: a typed key disagrees with the weights; CheckpointError: they cannot be read.
    """
    from gptkit.training.checkpoints.load import initial_settings

    typed = [word.lstrip("+").partition("=")[0] for word in overrides]
    own = OmegaConf.to_object(config.tokenizer) if _is_typed("tokenizer", typed) else None
    source = initial_settings(config.init_from, own if isinstance(own, TokenizerConfig) else None)
    _check("model", config.model, source.model, typed, config.init_from, free=("dropout",))
    sized = copy.deepcopy(config)
    if config.model.name == source.model.name:
        for field in dataclasses.fields(source.model):
            if field.name != "dropout":
                sized.model[field.name] = getattr(source.model, field.name)
    return sized


def _is_typed(kind: str, typed: Sequence[str]) -> bool:
    """Whether a word of the command line chooses this part, or sets a key of it."""
    return any(key == kind or key.startswith(f"{kind}.") for key in typed)


def _check_replaced(settings: RunConfig, brought: dict[str, Any], typed: Sequence[str]) -> None:
    """See that no typed key belongs to a part that the model's own takes the place of."""
    for kind in brought:
        lost = next((key for key in typed if key.startswith(f"{kind}.")), None)
        if kind != "model" and lost is not None:
            model, chosen, own = settings.model.name, getattr(settings, kind).name, brought[kind].name
            raise ConfigError(
                f"{lost} is a key of {kind}={chosen}, and model={model} brings {kind}={own} of its own; "
                f"add {kind}={chosen} to use it, or leave {lost} out"
            )


def _check(kind: str, wanted: Any, found: Any, typed: Sequence[str], source: str, free: tuple[str, ...] = ()) -> None:
    """Compare every key of a part that was typed with what the weights were made with."""
    if kind in typed and wanted.name != found.name:
        raise ConfigError(f"{kind}={wanted.name} disagrees with {source}, which has {kind}={found.name}; leave it out")
    for key in typed:
        owner, _, name = key.partition(".")
        if owner != kind or not name or name in free:
            continue
        there = getattr(found, name, None)
        if hasattr(found, name) and getattr(wanted, name, there) != there:
            raise ConfigError(f"{key}={getattr(wanted, name)} disagrees with {source}, which has {key}={there}; leave it out")
