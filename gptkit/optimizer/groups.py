"""Which parameters are decayed, and which are matrices: the sorting that all optimizers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch.nn import Parameter

EMBEDDINGS = ("embed", "position", "head", "wte", "wpe")
"""A matrix with one of these in its name is a table of vectors, one per token or position (or the head tied to it)."""


def is_table(name: str) -> bool:
    """Whether a matrix of this name is an embedding or a head, whose rows are looked up rather than multiplied."""
    return any(word in name.lower() for word in EMBEDDINGS)


def decay_groups(
    parameters: Iterable[tuple[str, Parameter]], *, lr: float, weight_decay: float, **others: Any
) -> list[dict[str, Any]]:
    """Two parameter groups: tensors of rank two and more with weight decay, the rest (biases and gains) without.

    Args:
        parameters: names and tensors; the order within a group is kept, so that a saved state finds its tensors again.
        lr: peak learning rate of both, stored as `peak_lr` besides.
        weight_decay: of the first group.
        others: further entries of both groups.
    """
    named = list(parameters)
    split = (
        ([parameter for _, parameter in named if parameter.ndim >= 2], weight_decay),
        ([parameter for _, parameter in named if parameter.ndim < 2], 0.0),
    )
    return [{"params": some, "lr": lr, "peak_lr": lr, "weight_decay": decay, **others} for some, decay in split if some]
