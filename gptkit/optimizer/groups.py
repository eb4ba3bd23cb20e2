"""Which parameters are decayed, and which are matrices: the sorting that all optimizers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeGuard

from torch import Tensor
from torch.nn import Parameter

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

EMBEDDING_AND_HEAD_NAMES = ("wte", "wpe", "head", "lm_head")
"""What models call embeddings and heads; so is everything with `embed` in its name."""


def is_embedding_or_head(name: str) -> bool:
    """Whether a matrix of this dotted name is an embedding or a head: one vector per token or position."""
    return any(word in EMBEDDING_AND_HEAD_NAMES or "embed" in word for word in name.lower().split("."))


def is_distributed(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether this process holds only its part of the tensor (a DTensor); such cannot be updated in one call with ordinary ones."""
    return hasattr(tensor, "device_mesh")


def decay_groups(
    parameters: Iterable[tuple[str, Parameter]], *, lr: float, weight_decay: float, **others: Any
) -> list[dict[str, Any]]:
    """Parameter groups: tensors of rank two and more with weight decay, the rest (biases and gains) without.

    Where a model is split over devices each of the two is two groups, of distributed and of ordinary tensors.

    Args:
        parameters: names and tensors.
        lr: peak learning rate of all, stored as `peak_lr` besides.
        weight_decay: of tensors of rank two and more.
        others: further entries of all groups.
    """
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for _, parameter in parameters:
        decays = parameter.ndim >= 2
        key = (decays, is_distributed(parameter))
        if key not in groups:
            groups[key] = {"params": [], "lr": lr, "peak_lr": lr, "weight_decay": weight_decay if decays else 0.0, **others}
        groups[key]["params"].append(parameter)
    return sorted(groups.values(), key=lambda group: group["weight_decay"], reverse=True)
