"""Exports and imports GPT-1 and GPT-2 in Hugging Face's format, with equal logits.

The formats can express only dense attention and the tanh form of GELU: `openai-gpt` is post-norm, `gpt2` pre-norm.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptkit.attention.banded import BandedAttention
from gptkit.attention.dense import DenseAttention
from gptkit.errors import CheckpointError, ConfigError, DataError
from gptkit.interop.huggingface_formats import FORMATS, GPT2, HuggingFaceFormat, format_for
from gptkit.interop.plugin_models import UnsupportedModelError
from gptkit.interop.tokenizer_files import write_tokenizer
from gptkit.interop.weight_names import WeightNames, is_stored_transposed
from gptkit.model import GPTConfig
from gptkit.model.base import Model
from gptkit.model.gpt import GPT
from gptkit.plugins import registry
from gptkit.tokenizer.base import Tokenizer
from gptkit.user_files import read_json_file

CONFIG, WEIGHTS, INDEX, PICKLE = "config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"


def export_model(model: Model, tokenizer: Tokenizer, folder: Path) -> list[str]:
    """Write `config.json`, `model.safetensors` (float32) and the tokenizer's files into an existing folder.

    Returns:
        Sentences about parts that the folder lacks; empty if transformers can read everything.

    Raises:
        ConfigError: neither format can express the model.
    """
    gpt = require_exportable(model)
    form = format_for(gpt.settings)
    (folder / CONFIG).write_text(json.dumps(build_config(gpt, form, tokenizer), indent=2) + "\n", encoding="utf-8")
    from safetensors.torch import save_file

    save_file(to_huggingface(model.state_dict(), form.names), folder / WEIGHTS, metadata={"format": "pt"})
    return write_tokenizer(tokenizer, folder, context=gpt.settings.context)


def build_config(gpt: GPT, form: HuggingFaceFormat, tokenizer: Tokenizer) -> dict[str, Any]:
    """Build the content of `config.json` for a language model."""
    settings, end = gpt.settings, tokenizer.special["end_of_text"]
    return {
        "architectures": [form.architecture],
        "model_type": form.model_type,
        "vocab_size": gpt.vocabulary,
        "n_positions": settings.context,
        "n_embd": settings.width,
        "n_layer": settings.layers,
        "n_head": settings.heads,
        **{key: allowed[0] for key, allowed in form.fixed.items()},
        "resid_pdrop": settings.dropout,
        "embd_pdrop": settings.dropout,
        "attn_pdrop": settings.dropout,
        "tie_word_embeddings": settings.tied,
        "bos_token_id": end,
        "eos_token_id": end,
        "torch_dtype": "float32",
    }


def to_huggingface(state: Mapping[str, Tensor], names: WeightNames) -> dict[str, Tensor]:
    """Convert the state_dict of a `GPT` to the names and orientation of Hugging Face, in float32."""
    return {
        names.to_external(name): (tensor.t() if is_stored_transposed(name) else tensor).detach().float().contiguous().cpu()
        for name, tensor in state.items()
    }


def from_huggingface(state: Mapping[str, Tensor], names: WeightNames) -> dict[str, Tensor]:
    """Convert weights from Hugging Face's names and orientation to those of `GPT`, the inverse of `to_huggingface`.

    Causal masks, which old files store as buffers, are dropped.

    Raises:
        KeyError: a name is not a weight of such a model.
    """
    weights = {}
    for name, tensor in state.items():
        gptkit_name = names.from_external(name)
        if gptkit_name is not None:
            weights[gptkit_name] = (tensor.t() if is_stored_transposed(gptkit_name) else tensor).float().contiguous()
    return weights


def read_config(path: Path) -> tuple[HuggingFaceFormat, GPTConfig, int]:
    """Read the format, the model settings and the vocabulary size from a `config.json`.

    Raises:
        UnsupportedModelError: the file describes a model that `GPT` cannot compute.
        CheckpointError: the file is missing or invalid, or describes a classifier.
    """
    if not path.exists():
        raise CheckpointError(f"{path} is missing: this is not a model in Hugging Face format")
    try:
        config: dict[str, Any] = read_json_file(path)
    except DataError as error:
        raise CheckpointError(str(error)) from None
    known = " or ".join(FORMATS)
    if not isinstance(config, dict) or "model_type" not in config:
        raise CheckpointError(f"{path} has no model_type; it must be {known}")
    form = FORMATS.get(str(config["model_type"]))
    if form is None:
        raise UnsupportedModelError(f"{path}: model_type={config['model_type']} is not supported by model=gpt, which reads {known}")
    if "ForSequenceClassification" in str(config.get("architectures")):
        raise CheckpointError(f"{path} describes a classifier, which has no language-model head")
    for key in ("n_layer", "n_head", "n_embd", "n_positions", "vocab_size"):
        if type(config.get(key, 1)) is not int:
            raise CheckpointError(f"{path}: {key}={config[key]} must be a whole number")
    for key, kinds in (("resid_pdrop", (int, float)), ("tie_word_embeddings", bool)):
        if not isinstance(config.get(key, False), kinds):
            raise CheckpointError(f"{path}: {key}={config[key]} must be {'a number' if kinds is not bool else 'true or false'}")
    width = config.get("n_embd", 768)
    for key, allowed in (form.fixed | {"n_inner": (None, 4 * width)}).items():
        if config.get(key, allowed[0]) not in allowed:
            raise UnsupportedModelError(f"{path}: {key}={config[key]} is not supported by model=gpt; it must be {allowed[0]}")
    values = {
        "layers": config.get("n_layer", 12),
        "heads": config.get("n_head", 12),
        "width": width,
        "context": config.get("n_positions", form.context),
        "dropout": config.get("resid_pdrop", 0.1),
        "tied": config.get("tie_word_embeddings", True),
        **form.settings,
    }
    try:
        settings: GPTConfig = registry().resolve("model", {"name": "gpt", **values})
    except ConfigError as error:  # impossible or inconsistent sizes
        raise CheckpointError(f"{path} does not describe a valid model: {error}") from None
    return form, settings, config.get("vocab_size", form.vocabulary)


def read_weights(folder: Path, names: WeightNames) -> dict[str, Tensor]:
    """Read all weights of a folder under gptkit's names: from safetensors, sharded or not, or else from a pickle of tensors.

    Raises:
        CheckpointError: there are no weights, a file is damaged or unsafe, or a name is not a weight of such a model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    path = folder / WEIGHTS
    try:
        if path.is_file():
            state = load_file(path)
        elif (path := folder / INDEX).is_file():
            for shard in sorted(set(read_json_file(path)["weight_map"].values())):
                path = folder / Path(shard).name
                state |= load_file(path)
        elif (path := folder / PICKLE).is_file():
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise CheckpointError(f"{folder} has no weights: neither {WEIGHTS} nor {PICKLE}")
    except CheckpointError:
        raise
    except (OSError, SafetensorError, DataError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}".partition("\n")[0]) from None
    except Exception as error:  # torch.load raises UnpicklingError, RuntimeError and others
        raise CheckpointError(f"{path} is damaged, or a pickle that holds more than tensors, which gptkit never loads") from error
    try:
        return from_huggingface(state, names)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: {error.args[0]} is not a weight of a {'GPT-2' if names is GPT2.names else 'GPT-1'}"
        ) from None


def require_exportable(model: Model) -> GPT:
    """Return the model if one of the formats can express it.

    Raises:
        ConfigError: no format can express the model.
    """
    if not isinstance(model, GPT):
        raise ConfigError(f"Hugging Face's GPT formats can express only model=gpt, not {type(model).__name__}")
    for layer, block in enumerate(model.blocks):
        attention = block.attention
        covers_all = isinstance(attention, BandedAttention) and attention.window >= model.context
        if type(attention) is not DenseAttention and not covers_all:
            raise ConfigError(
                f"Hugging Face's GPT formats have only dense attention, but layer {layer} has {type(attention).__name__}; "
                "train with attention=dense to export"
            )
    return model
