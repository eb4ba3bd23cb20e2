"""Counts parameters and operations of models and attention types without a formula, by building them on the meta device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gptkit.attention.base import Attention
from gptkit.model.adapted import add_adapter

if TYPE_CHECKING:
    from gptkit.adapter import AdapterConfig
    from gptkit.attention import AttentionConfig
    from gptkit.model import ModelConfig
    from gptkit.model.base import Model


def _build(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> Model:
    with torch.device("meta"):
        return model.build(attention=attention, vocabulary=vocabulary)


def count_parameters(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> dict[str, int]:
    """Return the parameters by type of module: embeddings, attention, norms, other. Shared tensors count once."""
    parts = {"embeddings": 0, "attention": 0, "norms": 0, "other": 0}
    for part, tensor in _owned(_build(model, attention, vocabulary)):
        parts[part] += tensor.numel()
    return {part: count for part, count in parts.items() if count}


def count_adapter_parameters(model: ModelConfig, attention: AttentionConfig, vocabulary: int, adapter: AdapterConfig) -> int:
    """Return the parameters of an adapter of the model."""
    with torch.device("meta"):
        built = model.build(attention=attention, vocabulary=vocabulary)
        add_adapter(built, adapter, seed=0)
    return sum(tensor.numel() for tensor in built.parameters() if tensor.requires_grad)


def count_attention(model: ModelConfig, attention: AttentionConfig) -> int:
    """Return the parameters of the attention modules of all layers."""
    total = 0
    with torch.device("meta"):
        for layer in range(model.layers):
            built = attention.build(
                width=model.width,
                heads=model.heads,
                context=model.context,
                dropout=model.dropout,
                layer=layer,
                layers=model.layers,
            )
            total += sum(tensor.numel() for tensor in built.parameters())
    return total


def count_forward_flops(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> float:
    """Return the operations of a forward pass per token, assuming that every weight except embeddings is used once per token.

    The result is exact for models of linear layers and recurrences. PyTorch counts the output, which may share the embedding.
    """
    built = _build(model, attention, vocabulary)
    output, used_by_output = _output(built, model.width)
    weights = sum(
        tensor.numel()
        for part, tensor in _owned(built)
        if part != "embeddings" and tensor.dim() > 1 and id(tensor) not in used_by_output
    )
    layers = sum(isinstance(module, Attention) for module in built.modules())
    keys = sum(attention.keys_per_query(context=model.context, layer=i, layers=layers) for i in range(layers))
    return 2.0 * weights + output + 4.0 * model.width * keys


def _output(built: Model, width: int) -> tuple[int, set[int]]:
    """Return the operations of the logits of one position, and the ids of the parameters that get a gradient from them."""
    with FlopCounterMode(display=False) as counter:
        logits = built.logits(torch.empty(1, 1, width, device="meta"))
    logits.sum().backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops(), {id(tensor) for tensor in built.parameters() if tensor.grad is not None}


def _owned(built: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each parameter once, with the part to which it belongs."""
    seen: set[int] = set()

    def visit(module: nn.Module, part: str) -> Iterator[tuple[str, torch.Tensor]]:
        if isinstance(module, Attention):
            part = "attention"
        elif isinstance(module, nn.Embedding):
            part = "embeddings"
        elif "norm" in type(module).__name__.lower():
            part = "norms"
        for tensor in module.parameters(recurse=False):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield part, tensor
        for child in module.children():
            yield from visit(child, part)

    yield from visit(built, "other")
