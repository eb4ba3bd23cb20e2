"""Load a trained model from a run, a checkpoint, or a Hugging Face folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from gptkit.attention import AttentionConfig
from gptkit.chat_template import ChatTemplateConfig, JinjaConfig
from gptkit.chat_template.choice import config_of
from gptkit.errors import CheckpointError, did_you_mean
from gptkit.model import GPTConfig, ModelConfig
from gptkit.model.adapted import merge_adapter
from gptkit.model.base import Model
from gptkit.model.fingerprint import state_fingerprint
from gptkit.objective import ObjectiveConfig
from gptkit.objective.base import TrainedModel
from gptkit.plugins import registry
from gptkit.tokenizer import TokenizerConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints import manifest
from gptkit.training.checkpoints.adapters import HUB as HUB  # for other modules
from gptkit.training.checkpoints.adapters import INIT_FROM, check_base, load_adapted, locate_base, pretrained_base
from gptkit.training.checkpoints.checkpoint import Checkpoint, first_intact, read_checkpoint, read_verified_checkpoint
from gptkit.training.checkpoints.manifest import FOLDER
from gptkit.training.checkpoints.model_weights import SkipInitialization, load_weights, restore_objective
from gptkit.training.checkpoints.retention import best_first, list_checkpoints
from gptkit.training.checkpoints.serialization import refuse_pickle
from gptkit.training.device_memory import check_model_fits
from gptkit.user_files import expand_path

Loaded = TypeVar("Loaded")

_ATTEMPTS = 20
"""Attempts to read a checkpoint of a run that is still training and may remove old checkpoints."""


@dataclass(frozen=True)
class InitialWeights:
    """The weights and settings that `init_from` provides."""

    model: ModelConfig
    attention: AttentionConfig
    tokenizer_config: TokenizerConfig
    tokenizer: Tokenizer
    state: dict[str, Tensor]
    """The model's state_dict, on the CPU. An adapter is merged into it."""
    run: dict[str, Any] = field(default_factory=dict)
    """The settings of the run that trained the weights, as plain values; empty for hf:..."""
    source: str = ""
    """The checkpoint folder, or hf:..."""
    fingerprint: str = ""
    """The fingerprint of the checkpoint; empty for hf:..."""


@dataclass(frozen=True)
class InitialSettings:
    """The settings that the weights of `init_from` decide."""

    model: ModelConfig
    attention: AttentionConfig
    tokenizer: TokenizerConfig
    undecided: tuple[str, ...] = ("dropout",)
    """Keys of the model that the weights do not decide."""
    chat_template: ChatTemplateConfig | None = None
    """The template with which the model was trained, or that its tokenizer brings."""


def load(source: str) -> tuple[Model, Tokenizer]:
    """Return a trained model (in evaluation mode, on the CPU, in fp32) and its tokenizer.

    Args:
        source: a run folder (its best checkpoint by validation loss, else its latest), one checkpoint folder, or
            hf:<folder or hub name> for GPT-1 and GPT-2 weights in Hugging Face format, GPT-1 weights in OpenAI's format, and
            models that a plugin loads (`ModelConfig.from_pretrained`).

    Raises:
        CheckpointError: there is no checkpoint, it is damaged or unsafe, or a plugin that it needs is not installed.
    """
    return build_model(initial_weights(source), source)


def build_model(weights: InitialWeights, source: str) -> tuple[Model, Tokenizer]:
    """Build the model that `load` returns from its weights. Errors name `source`."""
    check_model_fits(weights.model, weights.attention, weights.tokenizer.size)
    with SkipInitialization():
        model = weights.model.build(attention=weights.attention, vocabulary=weights.tokenizer.size)
    load_weights(model, weights.state, source, tokens=weights.tokenizer.size)
    return model.eval(), weights.tokenizer


def load_objective(source: str) -> TrainedModel:
    """Return a trained model with the tokens and weights of its objective (a classifier's head), which `load` leaves out.

    Args:
        source: a run folder (its best checkpoint by validation loss, else its latest), or one checkpoint folder.

    Raises:
        CheckpointError: as `load`; also for hf:..., where there is no objective.
    """
    if source.startswith(HUB):
        raise CheckpointError(f"{source}: has no objective; name a run of gptkit train, or one of its checkpoints")
    return _from_folder(expand_path(source), _trained_model_of)


def objective_class(run: dict[str, Any]) -> type[ObjectiveConfig] | None:
    """Return the objective's class from the settings of a run; None if they have none or its plugin is not installed."""
    entry = registry().parts["objective"].get(str(run.get("objective", {}).get("name", "")))
    return None if entry is None else entry.part


def run_settings(source: str) -> dict[str, Any]:
    """Return the settings of the run that trained a model, as plain values with parts as mappings; empty for hf:..."""
    return {} if source.startswith(HUB) else open_checkpoint(source).content


def open_checkpoint(source: str) -> Checkpoint:
    """Return the checkpoint that `load` reads from a run or a checkpoint folder.

    Raises:
        CheckpointError: as `load`.
    """
    return _from_folder(expand_path(source), lambda checkpoint: checkpoint)


def load_tokenizer(source: str) -> Tokenizer:
    """Return the tokenizer of a model, from the same sources as `load`, without its weights.

    Raises:
        CheckpointError: as `load`.
    """
    if source.startswith(HUB):
        from gptkit.interop.import_model import import_settings

        return import_settings(source.removeprefix(HUB)).tokenizer
    return open_checkpoint(source).tokenizer


def initial_weights(source: str, tokenizer: TokenizerConfig | None = None) -> InitialWeights:
    """Return weights and the settings that they need, from the same sources as `load`.

    Args:
        source: as in `load`.
        tokenizer: the tokenizer for an hf: folder that has none.
    """
    if source.startswith(HUB):
        from gptkit.interop.import_model import import_model

        imported = import_model(source.removeprefix(HUB), tokenizer)
        return InitialWeights(
            imported.model, imported.attention, imported.tokenizer_config, imported.tokenizer, imported.state, source=source
        )
    return _from_folder(expand_path(source), _weights_of)


def initial_settings(source: str, tokenizer: TokenizerConfig | None = None) -> InitialSettings:
    """Return the settings of `initial_weights` without reading the weights."""
    if source.startswith(HUB):
        from gptkit.interop.import_model import import_settings

        imported = import_settings(source.removeprefix(HUB), tokenizer)
        template = config_of({}, imported.tokenizer)
        if template is not None and isinstance(imported.model, GPTConfig):  # checkpoints of its tokenizers hold no template
            template = JinjaConfig(text=imported.tokenizer.chat_template)
        return InitialSettings(
            imported.model, imported.attention, imported.tokenizer_config, imported.model.adjustable, chat_template=template
        )
    return _from_folder(expand_path(source), _settings_of)


def _settings_of(checkpoint: Checkpoint) -> InitialSettings:
    template = config_of(checkpoint.content, checkpoint.tokenizer)
    return InitialSettings(
        checkpoint.part("model"), checkpoint.part("attention"), checkpoint.part("tokenizer"), chat_template=template
    )


def _weights_of(checkpoint: Checkpoint) -> InitialWeights:
    parts, tokenizer = _settings_of(checkpoint), checkpoint.tokenizer
    return InitialWeights(
        parts.model,
        parts.attention,
        parts.tokenizer,
        tokenizer,
        _complete_state(checkpoint, parts, vocabulary=tokenizer.size),
        checkpoint.content,
        source=str(checkpoint.folder),
        fingerprint=checkpoint.fingerprint,
    )


def _complete_state(checkpoint: Checkpoint, parts: InitialSettings, *, vocabulary: int) -> dict[str, Tensor]:
    """Return the state_dict of a checkpoint's model. An adapter is merged into its base."""
    if checkpoint.manifest.base is None:
        return checkpoint.model_state
    model = _build_model(checkpoint, parts, vocabulary=vocabulary)
    merge_adapter(model)
    return model.state_dict()


def _build_model(checkpoint: Checkpoint, parts: InitialSettings, *, vocabulary: int) -> Model:
    """Build the model of a checkpoint with its weights. An adapter is not merged."""
    check_model_fits(parts.model, parts.attention, vocabulary)
    with SkipInitialization():
        model = parts.model.build(attention=parts.attention, vocabulary=vocabulary)
    if checkpoint.manifest.base is None:
        load_weights(model, checkpoint.model_state, str(checkpoint.folder))
    else:
        load_adapted(model, base_weights(checkpoint), checkpoint, tokens=checkpoint.manifest.vocabulary)
    return model


def base_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the weights on which the adapter of a checkpoint was trained.

    Raises:
        CheckpointError: they are missing, or have changed.
    """
    assert checkpoint.manifest.base is not None
    if checkpoint.manifest.base.key != INIT_FROM:
        return pretrained_base(checkpoint)
    source = locate_base(checkpoint)
    weights = initial_weights(source, checkpoint.part("tokenizer"))
    check_base(checkpoint, source, weights.fingerprint or state_fingerprint(weights.state))
    return weights.state


def _trained_model_of(checkpoint: Checkpoint) -> TrainedModel:
    parts, tokenizer = _settings_of(checkpoint), checkpoint.tokenizer
    part = checkpoint.part("objective")
    objective = part.build(tokenizer=tokenizer, context=parts.model.context, width=parts.model.width)
    if checkpoint.content.get("chat_template"):
        objective.chat_template = checkpoint.part("chat_template").build(tokenizer=tokenizer)
    model = _build_model(checkpoint, parts, vocabulary=tokenizer.size + part.added_tokens)
    restore_objective(objective, model, checkpoint)
    merge_adapter(model)
    return TrainedModel(
        model.eval(),
        tokenizer,
        objective.eval(),
        checkpoint.content["data"],
        source=str(checkpoint.folder),
        fingerprint=checkpoint.fingerprint,
    )


def _from_folder(path: Path, read: Callable[[Checkpoint], Loaded]) -> Loaded:
    """Return `read(checkpoint)` for a checkpoint folder, or for the best (else the latest) checkpoint of a run.

    Skips damaged checkpoints of a run with a warning. Retries when a checkpoint disappears because the run is still training and
    removes old checkpoints.
    """
    if os.path.lexists(path / manifest.FILE):
        return read(read_checkpoint(path))
    run = _run_folder(path)
    for _ in range(_ATTEMPTS):
        checkpoint = None
        try:
            checkpoint = first_intact(best_first(run), read_verified_checkpoint)
            if checkpoint is not None:
                return read(checkpoint)
        except (CheckpointError, FileNotFoundError) as error:
            is_removed = isinstance(error, FileNotFoundError) or (checkpoint is not None and not checkpoint.folder.exists())
            if not is_removed:
                raise
    raise CheckpointError(f"{run}: its checkpoints were removed while they were read; try again")


def _run_folder(path: Path) -> Path:
    """Return the run folder of a path, which is the run folder or its `checkpoints` folder.

    Raises:
        CheckpointError: the path is not a run; the message describes the path, or suggests a similar one.
    """
    if path.is_file():
        refuse_pickle(path)
        raise CheckpointError(f"{path}: is a file; name a run, one of its checkpoint folders, or hf:<folder or hub name>")
    if path.exists() and not path.is_dir():  # a pipe, a device
        raise CheckpointError(f"{path}: is not a folder; name a run, one of its checkpoint folders, or hf:<folder or hub name>")
    if not path.is_dir():
        near = did_you_mean(str(path), [str(child) for child in path.parent.glob("*/")])
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)) and (path.parent == Path() or not path.parent.exists()):
            near += f" A model of the Hugging Face hub is named hf:{path}"
        raise CheckpointError(f"{path}: there is no such folder.{near}")
    run = path.parent if path.name == FOLDER else path
    if list_checkpoints(run):
        return run
    from gptkit.interop.import_model import is_external_checkpoint

    if is_external_checkpoint(path):
        raise CheckpointError(f"{path}: is not a run, but may be a Hugging Face folder. Did you mean hf:{path}?")
    pickles = [file for file in sorted(path.iterdir()) if file.suffix in (".pt", ".pth", ".bin", ".ckpt", ".pkl")]
    if pickles:
        refuse_pickle(pickles[0])
    runs = sorted(child.name for child in path.iterdir() if (child / FOLDER).is_dir())
    hint = f" Did you mean {path / runs[0]}?" if runs else ""
    raise CheckpointError(f"{path}: there is no checkpoint in this folder.{hint}")
