"""What every attention type is once built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class BuiltAttention(nn.Module, ABC):
    """Shapes: B batch, T time, D width."""

    @abstractmethod
    def forward(self, x: Tensor, *, cache: Any = None, segments: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D), causal.

        Args:
            x: hidden states of T consecutive positions.
            cache: what `cache()` of this module returned; the positions follow those that it remembers, and it remembers these too.
            segments: (B, T) int64 ids of documents that must not see each other. Never given together with a cache.
        """

    @abstractmethod
    def cache(self, batch: int, length: int, *, device: torch.device, dtype: torch.dtype) -> Any:
        """An empty memory for `batch` rows of at most `length` positions."""
