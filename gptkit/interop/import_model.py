"""Imports weights in other formats: Hugging Face's (a folder or a hub name) and OpenAI's arrays of GPT-1.

GPT-1 and GPT-2 become gptkit's own `GPT`. Other models are loaded by a plugin that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptkit.attention import AttentionConfig, DenseAttentionConfig
from gptkit.errors import CheckpointError, ConfigError
from gptkit.interop.chat_templates import read_chat_template
from gptkit.interop.hub_models import resolve_folder
from gptkit.interop.huggingface import CONFIG, read_config, read_weights
from gptkit.interop.openai_arrays import has_openai_arrays, read_arrays, read_shapes
from gptkit.interop.plugin_models import UnsupportedModelError, find_pretrained
from gptkit.interop.tokenizer_files import has_tokenizer, read_tokenizer
from gptkit.model import GPTConfig, ModelConfig
from gptkit.model.lm_head import padded_vocabulary
from gptkit.tokenizer import BPETokenizerConfig, CharTokenizerConfig, TokenizerConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.tokenizer.gpt1 import GPT1Tokenizer


@dataclass(frozen=True)
class ImportedSettings:
    """The settings and the tokenizer of an imported model."""

    model: ModelConfig
    attention: AttentionConfig
    tokenizer_config: TokenizerConfig
    tokenizer: Tokenizer


@dataclass(frozen=True)
class ImportedModel(ImportedSettings):
    """The settings, the tokenizer and the weights of an imported model."""

    state: dict[str, Tensor]
    """The weights by their names in the built model, in float32."""


def is_external_checkpoint(folder: Path) -> bool:
    """Return whether a folder looks like one that this module can read."""
    return (folder / CONFIG).is_file() or has_openai_arrays(folder)


def import_settings(source: str, tokenizer: TokenizerConfig | None = None) -> ImportedSettings:
    """Read the settings of a folder or a hub model, without its weights.

    Args:
        source: a folder, or a hub name.
        tokenizer: the tokenizer to use if the folder has none.

    Raises:
        CheckpointError: a file is missing, or neither `GPT` nor a plugin can load the model.
    """
    folder = resolve_folder(source)
    try:
        return _read_settings(folder, tokenizer)[0]
    except UnsupportedModelError as error:
        return _plugin_settings(source, folder, tokenizer, error)


def import_model(source: str, tokenizer: TokenizerConfig | None = None) -> ImportedModel:
    """Read the settings and the weights of a folder or a hub model.

    GPT-1's official vocabulary has no end-of-text token. Its embedding row is added as the mean of all others, so its logit is the
    mean of theirs and its probability is at most 1/V (Jensen's inequality). Padding rows beyond the vocabulary are dropped.

    Args:
        source: a folder, or a hub name.
        tokenizer: the tokenizer to use if the folder has none.

    Raises:
        CheckpointError: a file is missing or unsafe, or neither `GPT` nor a plugin can load the model.
    """
    folder = resolve_folder(source)
    try:
        settings, vocabulary = _read_settings(folder, tokenizer)
    except UnsupportedModelError as error:
        settings = _plugin_settings(source, folder, tokenizer, error)
        weights = settings.model.weights()
        if weights is None:
            raise CheckpointError(f"hf:{source}: model={settings.model.name} provides no weights for it") from None
        return ImportedModel(settings.model, settings.attention, settings.tokenizer_config, settings.tokenizer, weights)
    assert isinstance(settings.model, GPTConfig)
    if has_openai_arrays(folder):
        state = read_arrays(folder)
    else:
        form, _, _ = read_config(folder / CONFIG)
        state = read_weights(folder, form.names)
        if settings.model.tied:
            state.pop("head.weight", None)  # some files store the tied embedding twice
    for name in {"wte.weight", "head.weight"} & state.keys():
        if vocabulary < settings.tokenizer.size:
            state[name] = torch.cat([state[name], state[name].mean(dim=0, keepdim=True)])
        state[name] = state[name][: settings.tokenizer.size]
    return ImportedModel(settings.model, settings.attention, settings.tokenizer_config, settings.tokenizer, state)


def _build_tokenizer(part: TokenizerConfig, folder: Path) -> Tokenizer:
    """Build a tokenizer that needs no training.

    Raises:
        CheckpointError: the tokenizer would have to be trained, so its ids would not match the rows of the embedding.
    """
    if isinstance(part, BPETokenizerConfig | CharTokenizerConfig):
        raise CheckpointError(
            f"{folder} has no tokenizer, and tokenizer={part.name} is trained on texts; choose the tokenizer with which the model "
            "was trained, such as tokenizer=gpt2"
        )
    return part.build(texts=[])


def _plugin_settings(source: str, folder: Path, fallback: TokenizerConfig | None, error: UnsupportedModelError) -> ImportedSettings:
    """Return the settings of a model that a plugin loads. Its own tokenizer takes precedence over `fallback`."""
    model = find_pretrained(source, error)
    companions = model.companions()
    part: Any = companions.get("tokenizer")
    try:
        if part is None:
            raise ConfigError(f"hf:{source} has no tokenizer; choose the one with which it was trained, such as tokenizer=gpt2")
        tokenizer = part.build(texts=[])
    except ConfigError:
        if fallback is None:
            raise
        part, tokenizer = fallback, _build_tokenizer(fallback, folder)
    own: Any = {"model": model, "attention": DenseAttentionConfig(), **companions}
    return ImportedSettings(own["model"], own["attention"], part, tokenizer)


def _read_settings(folder: Path, fallback: TokenizerConfig | None) -> tuple[ImportedSettings, int]:
    """Read the settings of a `GPT`, and the number of rows of the stored embedding."""
    model, vocabulary = read_shapes(folder) if has_openai_arrays(folder) else read_config(folder / CONFIG)[1:]
    if has_tokenizer(folder):
        part, tokenizer = read_tokenizer(folder, context=model.context)
    elif fallback is not None:
        part, tokenizer = fallback, _build_tokenizer(fallback, folder)
    else:
        raise CheckpointError(
            f"{folder} has no tokenizer: put its tokenizer.json, or vocab.json and merges.txt, there; gptkit train "
            "init_from=hf:<folder> accepts one on the command line, such as tokenizer=gpt2"
        )
    tokenizer.chat_template = read_chat_template(folder)
    lacks_end = isinstance(tokenizer, GPT1Tokenizer) and vocabulary == tokenizer.special["end_of_text"] == tokenizer.size - 1
    if vocabulary not in (tokenizer.size, padded_vocabulary(tokenizer.size)) and not lacks_end:
        kind = CheckpointError if vocabulary < tokenizer.size else UnsupportedModelError  # a plugin may use padded rows
        raise kind(f"{folder}: the model has {vocabulary} tokens, its tokenizer {tokenizer.size}; they do not match")
    return ImportedSettings(model, DenseAttentionConfig(), part, tokenizer), vocabulary
