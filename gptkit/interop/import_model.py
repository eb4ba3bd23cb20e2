"""Foreign weights, recognised by their files: a folder or a hub name in Hugging Face's format, or OpenAI's own arrays of GPT-1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gptkit.attention import AttentionConfig, DenseAttentionConfig
from gptkit.errors import CheckpointError
from gptkit.interop.hub_models import fetch
from gptkit.interop.huggingface import CONFIG, read_config, read_weights
from gptkit.interop.openai_arrays import is_openai, read_arrays, read_shapes
from gptkit.interop.tokenizer_files import has_tokenizer, read_tokenizer
from gptkit.model import GPTConfig
from gptkit.model.lm_head import round_up
from gptkit.tokenizer import BPETokenizerConfig, CharTokenizerConfig, TokenizerConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.tokenizer.gpt1 import GPT1Tokenizer


@dataclass(frozen=True)
class ImportedSettings:
    """What a model that was read is."""

    model: GPTConfig
    attention: AttentionConfig
    tokenizer_part: TokenizerConfig
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Imported(ImportedSettings):
    """The same, and its weights in the kit's names (float32)."""

    state: dict[str, Tensor]


def looks_foreign(folder: Path) -> bool:
    """Whether a folder may be one that this module reads."""
    return (folder / CONFIG).is_file() or is_openai(folder)


def import_settings(source: str, tokenizer: TokenizerConfig | None = None) -> ImportedSettings:
    """The settings of a folder or of a model of the hub; no weight is read.

    Args:
        source: a folder, or a name of the hub.
        tokenizer: of a folder that has none.

    Raises:
        CheckpointError: a file is missing, or the model is not one that `GPT` computes.
    """
    return _settings(fetch(source), tokenizer)[0]


def import_model(source: str, tokenizer: TokenizerConfig | None = None) -> Imported:
    """Read a folder or a model of the hub, settings and weights.

    GPT-1's official vocabulary has no end-of-text. Its row is added to the embedding as the mean of the others: its logit is then
    the mean of theirs, so it takes no more than one part in V of the probability (Jensen's inequality). Rows behind those of the
    vocabulary, by which some files are padded, are left out.

    Args:
        source: a folder, or a name of the hub.
        tokenizer: of a folder that has none.

    Raises:
        CheckpointError: a file is missing or unsafe, or the model is not one that `GPT` computes.
    """
    folder = fetch(source)
    settings, vocabulary = _settings(folder, tokenizer)
    if is_openai(folder):
        state = read_arrays(folder)
    else:
        form, _, _ = read_config(folder / CONFIG)
        state = read_weights(folder, form.names)
        if settings.model.tied:
            state.pop("head.weight", None)  # some files repeat the embedding
    for name in {"wte.weight", "head.weight"} & state.keys():
        if vocabulary < settings.tokenizer.size:
            state[name] = torch.cat([state[name], state[name].mean(dim=0, keepdim=True)])
        state[name] = state[name][: settings.tokenizer.size]
    return Imported(settings.model, settings.attention, settings.tokenizer_part, settings.tokenizer, state)


def _built(part: TokenizerConfig, folder: Path) -> Tokenizer:
    """Raises: CheckpointError: it would have to be learned from texts: which ids the model's rows stand for is not known then."""
    if isinstance(part, BPETokenizerConfig | CharTokenizerConfig):
        raise CheckpointError(
            f"{folder} has no tokenizer, and tokenizer={part.name} is learned from texts; name the one that the model was "
            "trained with, such as tokenizer=gpt2"
        )
    return part.build(texts=[])


def _settings(folder: Path, other: TokenizerConfig | None) -> tuple[ImportedSettings, int]:
    """The settings, and the rows of the embedding that is stored."""
    model, vocabulary = read_shapes(folder) if is_openai(folder) else read_config(folder / CONFIG)[1:]
    if has_tokenizer(folder):
        part, tokenizer = read_tokenizer(folder, context=model.context)
    elif other is not None:
        part, tokenizer = other, _built(other, folder)
    else:
        raise CheckpointError(
            f"{folder} has no tokenizer: put its tokenizer.json, or vocab.json and merges.txt, there; gptkit train "
            "init_from=hf:<folder> takes the one that is typed, such as tokenizer=gpt2"
        )
    lacks_end = isinstance(tokenizer, GPT1Tokenizer) and vocabulary == tokenizer.special["end_of_text"] == tokenizer.size - 1
    if vocabulary not in (tokenizer.size, round_up(tokenizer.size)) and not lacks_end:
        raise CheckpointError(
            f"{folder}: the model has {vocabulary} tokens, its tokenizer {tokenizer.size}; they do not belong together"
        )
    return ImportedSettings(model, DenseAttentionConfig(), part, tokenizer), vocabulary
