"""GPT-2 in Hugging Face's format: weights and settings out and in, logits equal.

The format holds pre-norm models with dense attention and the tanh form of GELU, and no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptkit.attention import Attention, Dense
from gptkit.attention.banded import BuiltBanded
from gptkit.attention.dense import BuiltDense
from gptkit.errors import CheckpointError, ConfigError
from gptkit.interop.hub import fetch
from gptkit.interop.names import from_openai, stored_transposed, to_openai
from gptkit.interop.tokenizer_files import read_tokenizer, write_tokenizer
from gptkit.model import GPT, Model
from gptkit.model.built import BuiltModel
from gptkit.model.gpt import EPSILON, BuiltGPT
from gptkit.model.head import round_up
from gptkit.tokenizer import Tokenizer
from gptkit.tokenizer.built import BuiltTokenizer

CONFIG, WEIGHTS, INDEX, PICKLE = "config.json", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"


@dataclass(frozen=True)
class Imported:
    """A model that was read: settings, weights in the kit's names (float32), and its tokenizer."""

    model: Model
    attention: Attention
    state: dict[str, Tensor]
    tokenizer_part: Tokenizer
    tokenizer: BuiltTokenizer


def export_gpt2(model: BuiltModel, tokenizer: BuiltTokenizer, folder: Path) -> list[str]:
    """Write `config.json`, `model.safetensors` (float32) and the tokenizer's files into an existing folder.

    Returns:
        What the folder lacks, in sentences; empty when transformers can read everything.

    Raises:
        ConfigError: the format cannot express the model.
    """
    gpt = _expressible(model)
    settings, end = gpt.settings, tokenizer.special["end_of_text"]
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": gpt.vocabulary,
        "n_positions": settings.context,
        "n_embd": settings.width,
        "n_layer": settings.layers,
        "n_head": settings.heads,
        "activation_function": "gelu_new",
        "resid_pdrop": settings.dropout,
        "embd_pdrop": settings.dropout,
        "attn_pdrop": settings.dropout,
        "layer_norm_epsilon": EPSILON,
        "tie_word_embeddings": settings.tied,
        "bos_token_id": end,
        "eos_token_id": end,
        "torch_dtype": "float32",
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    from safetensors.torch import save_file

    save_file(to_gpt2(model.state_dict()), folder / WEIGHTS, metadata={"format": "pt"})
    return write_tokenizer(tokenizer, folder, context=settings.context)


def import_gpt2(source: str) -> Imported:
    """Read a folder or a model of the hub.

    Raises:
        CheckpointError: a file is missing or unsafe, or the model is not one that `GPT` computes.
    """
    folder = fetch(source)
    settings, vocabulary = read_config(folder / CONFIG)
    state = read_weights(folder)
    part, tokenizer = read_tokenizer(folder, context=settings.context)
    if vocabulary not in (tokenizer.size, round_up(tokenizer.size)):
        raise CheckpointError(
            f"{folder}: the model has {vocabulary} tokens, its tokenizer {tokenizer.size}; they do not belong together"
        )
    return Imported(settings, Dense(), state, part, tokenizer)


def to_gpt2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A `GPT`'s state_dict in the names and orientation of Hugging Face's `GPT2LMHeadModel`, in float32."""
    return {
        to_openai(name): (tensor.t() if stored_transposed(name) else tensor).detach().float().contiguous().cpu()
        for name, tensor in state.items()
    }


def from_gpt2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other way; masks that old files hold are left out.

    Raises:
        KeyError: a name is no weight of a GPT-2.
    """
    found = {}
    for name, tensor in state.items():
        ours = from_openai(name)
        if ours is not None:
            found[ours] = (tensor.t() if stored_transposed(ours) else tensor).float().contiguous()
    return found


def read_config(path: Path) -> tuple[GPT, int]:
    """Settings and vocabulary of a `config.json`.

    Raises:
        CheckpointError: it is not there, or asks for something that `GPT` does not compute.
    """
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: this is no model in Hugging Face format") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}".partition("\n")[0]) from None
    width = config.get("n_embd", 768)
    wanted: dict[str, tuple[Any, ...]] = {
        "model_type": ("gpt2",),
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "n_inner": (None, 4 * width),
        "layer_norm_epsilon": (EPSILON,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    }
    for key, allowed in wanted.items():
        if config.get(key, allowed[0]) not in allowed:
            raise CheckpointError(f"{path}: {key}={config[key]} is not supported; it must be {allowed[0]}")
    if "model_type" not in config:
        raise CheckpointError(f"{path} names no model_type; it must be gpt2")
    settings = GPT(
        layers=config.get("n_layer", 12),
        heads=config.get("n_head", 12),
        width=width,
        context=config.get("n_positions", 1024),
        dropout=config.get("resid_pdrop", 0.1),
        tied=config.get("tie_word_embeddings", True),
    )
    return settings, config.get("vocab_size", 50257)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder in the kit's names: safetensors, whole or in shards, else a pickle that holds tensors alone.

    Raises:
        CheckpointError: there are none, a file is torn or unsafe, or a name is no weight of a GPT-2.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    path = folder / WEIGHTS
    try:
        if path.is_file():
            state = load_file(path)
        elif (path := folder / INDEX).is_file():
            for shard in sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())):
                path = folder / Path(shard).name
                state |= load_file(path)
        elif (path := folder / PICKLE).is_file():
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise CheckpointError(f"{folder} has no weights: neither {WEIGHTS} nor {PICKLE}")
    except CheckpointError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}".partition("\n")[0]) from None
    except Exception as error:  # torch.load raises UnpicklingError, RuntimeError and others
        raise CheckpointError(f"{path} is torn, or a pickle with more than tensors, which is never loaded") from error
    try:
        return from_gpt2(state)
    except KeyError as error:
        raise CheckpointError(f"{path}: {error.args[0]} is no weight of a GPT-2") from None


def _expressible(model: BuiltModel) -> BuiltGPT:
    if not isinstance(model, BuiltGPT):
        raise ConfigError(f"the Hugging Face GPT-2 format holds models of model=gpt, not {type(model).__name__}")
    if model.settings.norm != "pre":
        raise ConfigError("the Hugging Face GPT-2 format has no model.norm=post; train with model.norm=pre to export")
    for layer, block in enumerate(model.blocks):
        attention = block.attention
        covers_all = isinstance(attention, BuiltBanded) and attention.window >= model.context
        if type(attention) is not BuiltDense and not covers_all:
            raise ConfigError(
                f"the Hugging Face GPT-2 format has dense attention alone, and layer {layer} has {type(attention).__name__}; "
                "train with attention=dense to export"
            )
    return model
