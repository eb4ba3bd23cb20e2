"""Which pre-training text an objective mixes in where its settings leave that to the run (`name: auto`)."""

from __future__ import annotations

import dataclasses
from typing import Any

from gptkit.errors import CheckpointError, ConfigError
from gptkit.plugins import registry
from gptkit.records import Document
from gptkit.run_config import RunConfig

DEFAULT_SOURCE = {"name": "sotu"}
"""The pre-training text of a run without `init_from`: its model was never pre-trained, so this is an experiment."""


def resolve_pretraining_source(settings: RunConfig) -> RunConfig:
    """Replace the source `auto` by the data on which the weights of `init_from` were pre-trained.

    The settings are returned unchanged where the objective mixes no text in, or names its source.

    Raises:
        ConfigError: the runs behind `init_from` do not tell what the weights were pre-trained on.
    """
    key = settings.objective.pretraining_key()
    if not key or getattr(settings.objective, key).get("name") != "auto":
        return settings
    source = DEFAULT_SOURCE if settings.init_from is None else _pretraining_data(settings.init_from, f"objective.{key}")
    values: dict[str, Any] = {key: source}
    return dataclasses.replace(settings, objective=dataclasses.replace(settings.objective, **values))


def _pretraining_data(init_from: str, key: str) -> dict[str, Any]:
    """The data of the first run, going back along `init_from`, whose objective learns from documents."""
    from gptkit.training.checkpoints.load import HUB, run_settings  # loads torch, which most command lines do not need

    source: str | None = init_from
    try:
        while source is not None and not source.startswith(HUB):
            run = run_settings(source)
            if registry().find("objective", run["objective"]["name"]).part.record is Document:
                return dict(run["data"])
            source = run["init_from"]
        reason = f"init_from={init_from} does not tell which text it was pre-trained on"
    except CheckpointError as error:
        reason = f"which text init_from={init_from} was pre-trained on cannot be read ({error})"
    raise ConfigError(f"{reason}; give {key}={{name:text,path:<files>}}, or another source")
