"""Count a model or attention that the kit has no formula for: built on the meta device, which stores shapes and no numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn

from gptkit.attention.built import BuiltAttention

if TYPE_CHECKING:
    from gptkit.attention import Attention
    from gptkit.model import Model


def _build(model: Model, attention: Attention, vocabulary: int) -> nn.Module:
    with torch.device("meta"):
        return model.build(attention=attention, vocabulary=vocabulary)


def count_parameters(model: Model, attention: Attention, vocabulary: int) -> dict[str, int]:
    """Parameters by the kind of module that holds them: embeddings, attention, norms, other. Shared tensors count once."""
    parts = {"embeddings": 0, "attention": 0, "norms": 0, "other": 0}
    for part, tensor in _owned(_build(model, attention, vocabulary)):
        parts[part] += tensor.numel()
    return {part: count for part, count in parts.items() if count}


def count_attention(model: Model, attention: Attention) -> int:
    """Parameters of the attention modules of all layers."""
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


def count_forward_flops(model: Model, attention: Attention, vocabulary: int) -> float:
    """Operations of a forward pass per token, by the rule that every weight that is not looked up is used once per token.

    Exact for models made of linear layers and recurrences. The output V D is added where it shares the embedding's weights.
    """
    built = _build(model, attention, vocabulary)
    weights, has_head, attentions = 0, False, 0
    for part, tensor in _owned(built):
        if part != "embeddings" and tensor.dim() > 1:
            weights += tensor.numel()
            has_head = has_head or vocabulary <= tensor.shape[0] < vocabulary + 1024
    attentions = sum(isinstance(module, BuiltAttention) for module in built.modules())
    head = 0 if has_head else vocabulary * model.width
    keys = sum(attention.keys_per_query(context=model.context, layer=i, layers=attentions) for i in range(attentions))
    return 2.0 * (weights + head) + 4.0 * model.width * keys


def _owned(built: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Each parameter once, with the part it belongs to."""
    seen: set[int] = set()

    def visit(module: nn.Module, part: str) -> Iterator[tuple[str, torch.Tensor]]:
        if isinstance(module, BuiltAttention):
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
