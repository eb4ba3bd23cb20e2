"""Attention masks as pure functions of positions: True where a query attends to a key.

Shapes: B batch, T queries, S keys. Positions count tokens from the start of a row, so the same functions apply to whole sequences,
continuations of a cache, and batches whose rows have different lengths.
"""

from __future__ import annotations

from torch import Tensor


def causal_mask(queries: Tensor, keys: Tensor) -> Tensor:
    """Return a mask of the keys at or before each query: (..., T), (S,) -> (..., T, S) bool."""
    return keys <= queries.unsqueeze(-1)


def banded_mask(queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """Return a mask of the last `window` keys of each query, including its own: (..., T), (S,) -> (..., T, S) bool.

    Source: "Generating Long Sequences with Sparse Transformers", section 4.3.
    """
    distance = queries.unsqueeze(-1) - keys  # (..., T, S)
    return (distance >= 0) & (distance < window)


def same_document_mask(segments: Tensor) -> Tensor:
    """Return a mask of the keys in the document of each query: (B, T) -> (B, T, T) bool."""
    return segments.unsqueeze(-1) == segments.unsqueeze(-2)
