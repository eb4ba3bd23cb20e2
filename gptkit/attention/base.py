"""The base classes of attention modules and of their decoding caches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn

if TYPE_CHECKING:
    from gptkit.attention.positions import Positions


class AttentionCache(ABC):
    """The state of one layer after the tokens that it has read, with one row per sequence. Attention types may define their own."""

    positions: Positions
    """The positions of the tokens of the current call. The model sets them before it calls the layer."""

    is_batch_invariant: bool = False
    """Whether the result of a row does not depend on the number of rows, so that prompts of equal length can share a call."""

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Keep these rows (N,) int64, in this order. Rows may be repeated."""

    def extend(self, other: Self) -> None:
        """Add the rows of another cache after those of this one, which may be empty.

        Optional. If all caches of a model implement it, every prompt is read without padding, so that a text does not depend on the
        other prompts of its batch, and sequences can join a batch at any step. Otherwise prompts are padded and read together, and
        rounding depends on the padding.
        """
        raise NotImplementedError

    def prefix(self, length: int) -> Self:
        """Return a copy of the first `length` positions of all rows.

        Optional. If all caches of a model implement it, prompts that begin alike can share the state of their beginning.
        """
        raise NotImplementedError


class Attention(nn.Module, ABC):
    """Shapes: B batch, T time, D width.

    The linear layer that writes to the residual stream must be named `output`, so that models can scale residual projections at
    initialisation. The model initialises every `nn.Linear` and `nn.LayerNorm`. A module with other parameters initialises them in
    `reset_parameters()`.
    """

    @abstractmethod
    def forward(self, x: Tensor, *, cache: AttentionCache | None = None, segments: Tensor | None = None) -> Tensor:
        """Apply causal attention: (B, T, D) -> (B, T, D).

        Args:
            x: hidden states of T consecutive positions.
            cache: a cache that `cache()` of this module returned. The positions follow those in the cache, and are added to it.
                `cache.positions` has their indices, and which of them are padding on the right, whose results are not used.
            segments: (B, T) int64 ids of documents that must not attend to one another. Not used together with a cache.
        """

    @abstractmethod
    def cache(self, batch: int, length: int) -> AttentionCache:
        """Create an empty cache for `batch` rows of at most `length` positions.

        Allocate its tensors in the first call, with the device and dtype of their content, which can differ from those of the
        parameters under autocast and mixed-precision strategies.
        """
