"""The base class of models: the interface that objectives, generation and export rely on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from gptkit.adapter.base import Adapter

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters. Shared parameters are counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


class Cache(Protocol):
    """The state of a model after the tokens that it has read, with one row per sequence."""

    lengths: Tensor
    """(B,) int64: the number of tokens that each row has read."""

    def receive(self, counts: Tensor) -> None:
        """Set the number of tokens `counts` (B,) of each row in the next call; the rest of its T tokens is padding.

        Without this call, all T tokens are read.
        """

    def select(self, rows: Tensor) -> None:
        """Keep these rows (N,), in this order. Rows may be repeated. Drops finished sequences and reorders beams."""


class Model(nn.Module, ABC):
    """Shapes: B batch, T time, D width, V vocabulary."""

    context: int
    vocabulary: int
    adapter: Adapter | None = None
    """The adapter that is trained in place of the model's weights; see `gptkit.model.adapted`."""

    @abstractmethod
    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        """Return the final hidden states of a causal model: (B, T) int64 -> (B, T, D).

        Args:
            tokens: ids below `vocabulary`.
            cache: the tokens follow those in the cache, and are added to it.
            segments: (B, T) int64 ids of documents that must not attend to one another; None: one document per row. Positions
                always count from the start of the row.

        Raises:
            ValueError: a position is beyond `context`.
        """

    def forward_in_parts(self, tokens: Tensor, *, cache: Cache) -> Generator[None, None, Tensor]:
        """Compute `forward` in parts, without compilation; other calls of the model may come between two parts.

        A server decodes between the parts of a long prompt. The default is a single part. Models with layers should yield between
        them, and compute the same numbers as in `forward`. A subclass that overrides `forward` must override this method, too.
        Hooks of the model itself are not called, but those of its modules are.
        """
        yield from ()
        return self._call_impl(tokens, cache=cache)  # type: ignore[no-untyped-call, no-any-return]

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """Return the unnormalised log-probabilities of the next token, without padding entries: (..., D) -> (..., V)."""

    @abstractmethod
    def cache(self, batch: int, length: int) -> Cache:
        """Create an empty cache for `batch` rows of at most `length` tokens, with the model's device and dtype."""

    def layer_of(self, name: str) -> int | None:
        """Return the block, from 0, of the weight of this name: the first number in the name; None: no block, as for embeddings."""
        return next((int(word) for word in name.split(".") if word.isdecimal()), None)

    def export(self, folder: Path, tokenizer: Tokenizer) -> list[str] | None:
        """Write the model and its tokenizer to an existing folder, in a Hugging Face format that the model defines.

        Returns:
            Sentences that describe what is missing in the folder; None if the model defines no format, and nothing was written.

        Raises:
            ConfigError: the format cannot express the model.
        """
        return None
