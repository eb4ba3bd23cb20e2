"""Adapters in checkpoints: which base they belong to, how it is found again, and the model of both."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from gptkit.errors import CheckpointError
from gptkit.model import ModelConfig
from gptkit.model.adapted import add_adapter, with_base
from gptkit.model.base import Model
from gptkit.model.fingerprint import state_fingerprint
from gptkit.training.checkpoints.checkpoint import Checkpoint
from gptkit.training.checkpoints.manifest import Base, checkpoint_folder
from gptkit.training.checkpoints.model_weights import load_weights

HUB = "hf:"
INIT_FROM, MODEL_PATH = "init_from", "model.path"


def describe_base(run: Path, init_from: str | None, model: ModelConfig, *, fingerprint: str) -> Base:
    """Return what a run's checkpoints record of the base of its adapter.

    Args:
        run: the run folder.
        init_from: the checkpoint folder or hf:<folder or name> of the initial weights; None: they come from the model part.
        model: the model part.
        fingerprint: the fingerprint of the weights.
    """
    key, source = (MODEL_PATH, str(getattr(model, "path", ""))) if init_from is None else (INIT_FROM, init_from)
    prefix = HUB if source.startswith(HUB) else ""
    folder = Path(os.path.expanduser(source.removeprefix(prefix)))
    if not folder.exists():
        return Base(key, source, "", fingerprint)
    relative = os.path.relpath(folder.resolve(), checkpoint_folder(run, 0).resolve())
    return Base(key, f"{prefix}{folder.resolve()}", f"{prefix}{relative}", fingerprint)


def locate_base(checkpoint: Checkpoint) -> str:
    """Return the folder of the base, or its name on the Hub: the recorded path, or the same place relative to the checkpoint.

    Raises:
        CheckpointError: it is in neither place.
    """
    base = checkpoint.manifest.base
    assert base is not None
    prefix = HUB if base.path.startswith(HUB) else ""
    if not base.relative:
        return base.path
    for place in (Path(base.path.removeprefix(prefix)), checkpoint.folder / base.relative.removeprefix(prefix)):
        if place.exists():
            return f"{prefix}{place}"
    raise CheckpointError(
        f"{checkpoint.folder}: holds an adapter, and the model that it was trained on is not at {base.path}; move it back there"
    )


def check_base(checkpoint: Checkpoint, source: str, fingerprint: str) -> None:
    """Check that the weights of a base are those on which the adapter was trained.

    Raises:
        CheckpointError: they are not.
    """
    base = checkpoint.manifest.base
    assert base is not None
    if fingerprint != base.fingerprint:
        raise CheckpointError(
            f"{checkpoint.folder}: holds an adapter, and the weights of {source} have changed since it was trained on them; "
            "restore them"
        )


def pretrained_base(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the base that the model part of a checkpoint provides (`ModelConfig.weights`).

    Raises:
        CheckpointError: it is missing, or has changed.
    """
    part, source = checkpoint.part("model"), locate_base(checkpoint)
    state: dict[str, Tensor] = (dataclasses.replace(part, path=source) if hasattr(part, "path") else part).weights()
    check_base(checkpoint, source, state_fingerprint(state))
    return state


def load_adapted(model: Model, base: Mapping[str, Tensor], checkpoint: Checkpoint, *, tokens: int) -> None:
    """Load a base and the adapter of a checkpoint into a model that has the settings of the base, in place."""
    load_weights(model, dict(base), str(checkpoint.folder), tokens=tokens)
    add_adapter(model, checkpoint.part("adapter"), seed=int(checkpoint.content.get("seed") or 0))
    load_trained_weights(model, checkpoint.model_state, str(checkpoint.folder))


def load_trained_weights(model: Model, state: Mapping[str, Tensor], source: str) -> None:
    """Copy the weights that a checkpoint holds into a model: all of them, or those of its adapter."""
    load_weights(model, with_base(model, state), source)
