"""Parameter groups, with and without weight decay, that the optimizers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeGuard

from torch import Tensor
from torch.nn import Parameter

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

EMBEDDING_AND_HEAD_NAMES = ("wte", "wpe", "head", "lm_head")
"""Names of embeddings and heads in models, in addition to names that contain `embed`."""


def is_embedding_or_head(name: str) -> bool:
    """Return whether a matrix of this dotted name is an embedding or a head, with one vector per token or position."""
    return any(word in EMBEDDING_AND_HEAD_NAMES or "embed" in word for word in name.lower().split("."))


def is_distributed(tensor: Tensor) -> TypeGuard[DTensor]:
    """Return whether the tensor is a DTensor. One call cannot update distributed and ordinary tensors together."""
    return hasattr(tensor, "device_mesh")


def decay_groups(
    parameters: Iterable[tuple[str, Parameter]], *, lr: float, weight_decay: float, **others: Any
) -> list[dict[str, Any]]:
    """Return parameter groups: tensors of rank two and more with weight decay, other tensors (biases and gains) without.

    Distributed and ordinary tensors are in separate groups.

    Args:
        parameters: names and tensors.
        lr: peak learning rate of all groups, also stored as `peak_lr`.
        weight_decay: weight decay of tensors of rank two and more.
        others: additional entries of all groups.
    """
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for _, parameter in parameters:
        decays = parameter.ndim >= 2
        key = (decays, is_distributed(parameter))
        if key not in groups:
            groups[key] = {"params": [], "lr": lr, "peak_lr": lr, "weight_decay": weight_decay if decays else 0.0, **others}
        groups[key]["params"].append(parameter)
    return sorted(groups.values(), key=lambda group: group["weight_decay"], reverse=True)
