"""The base class of models: the interface that objectives, generation and export rely on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


class Cache(Protocol):
    """What a model caches of the tokens that it has read, one row per sequence."""

    lengths: Tensor
    """(B,) int64: tokens already read in each row."""

    def receive(self, counts: Tensor) -> None:
        """Announce that of the next call's T tokens only the first `counts` (B,) of each row are real: the rest is padding.

        Without an announcement all T are.
        """

    def select(self, rows: Tensor) -> None:
        """Keep the given rows (N,), in that order, repeats allowed: drops finished sequences, reorders beams."""


class Model(nn.Module, ABC):
    """Shapes: B batch, T time, D width, V vocabulary."""

    context: int
    vocabulary: int

    @abstractmethod
    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        """(B, T) int64 -> (B, T, D) final hidden states, causal.

        Args:
            tokens: ids below `vocabulary`.
            cache: continue after the tokens that it remembers, and remember these too.
            segments: (B, T) int64 ids of documents that must not see each other; None: one document per row. Positions count from
                the start of the row all the same.

        Raises:
            ValueError: a position would be beyond `context`.
        """

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) unnormalised log-probabilities of the next token, without padding entries."""

    @abstractmethod
    def cache(self, batch: int, length: int) -> Cache:
        """An empty cache for `batch` rows of at most `length` tokens, on the model's device and in its dtype."""

    def layer_of(self, name: str) -> int | None:
        """The block, from 0, that a weight of this name belongs to: the first number in it; None: to none, as embeddings do."""
        return next((int(word) for word in name.split(".") if word.isdecimal()), None)

    def export(self, folder: Path, tokenizer: Tokenizer) -> list[str] | None:
        """Write the model and its tokenizer into an existing folder, in a Hugging Face format that is the model's own.

        Returns:
            What the folder lacks, in sentences; None, and nothing written, where the model has no format of its own.

        Raises:
            ConfigError: the format cannot express the model.
        """
        return None
