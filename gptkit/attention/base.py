"""The base classes of attention modules and of their decoding caches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn

if TYPE_CHECKING:
    from gptkit.attention.positions import Positions


class AttentionCache(ABC):
    """What one layer caches of the tokens that it has read, one row per sequence. An attention type may bring its own."""

    positions: Positions
    """Positions of the tokens of the current call; the model sets them before it calls the layer."""

    is_batch_invariant: bool = False
    """No row's result depends on the number of rows, so prompts of one length may be read in one call."""

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Keep the given rows (N,) int64, in that order, repeats allowed."""

    def join(self, parts: Sequence[Self], rows: Tensor) -> None:
        """Fill this empty cache with rows (N,) of other caches, numbered through all parts.

        Optional. A model whose caches all have it reads every prompt at its own length, so that a text does not depend on the other
        prompts of its batch; without it they are read together, padded, and rounding depends on the padding.
        """
        raise NotImplementedError


class Attention(nn.Module, ABC):
    """Shapes: B batch, T time, D width.

    The linear layer that writes to the residual stream is called `output`: models that scale residual projections at
    initialisation find it by that name. Every `nn.Linear` and `nn.LayerNorm` is initialised by the model; a module with parameters
    of another sort gives them values in `reset_parameters()`.
    """

    @abstractmethod
    def forward(self, x: Tensor, *, cache: AttentionCache | None = None, segments: Tensor | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D), causal.

        Args:
            x: hidden states of T consecutive positions.
            cache: what `cache()` of this module returned; the positions follow those that it remembers, and it remembers these too.
                `cache.positions` says where they stand and which of them are padding on the right, whose results are never used.
            segments: (B, T) int64 ids of documents that must not see each other. Never given together with a cache.
        """

    @abstractmethod
    def cache(self, batch: int, length: int) -> AttentionCache:
        """An empty memory for `batch` rows of at most `length` positions.

        Make its tensors at the first call, on the device and in the dtype of what they hold: under autocast and under
        mixed-precision strategies neither is that of the parameters.
        """
