"""Attention types: the contract, the built-in `dense`, `banded` and `alternating`, and the hook that offers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gptkit.constraints import CONTEXT, at_least, at_most, one_of
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.attention.base import Attention


@dataclass
class AttentionConfig(Part):
    """Causal self-attention, one module per layer: (B, T, D) -> (B, T, D).

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.attention.base.Attention`.
    No key is shared by all attention types.
    """

    name: str = ""

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        """Make the attention of one layer.

        Args:
            width: size D of a hidden state.
            heads: number H of heads, each of size D / H.
            context: longest sequence T.
            dropout: probability of dropping an attention weight while training.
            layer: which layer this is, from 0.
            layers: how many layers there are.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        """Keys that a query of one layer sees, on average over a full sequence: what `gptkit plan` counts operations with.

        Override it where a query sees fewer keys than in dense causal attention. Arguments as those of `build`.
        """
        return (context + 1) / 2


@dataclass
class DenseAttentionConfig(AttentionConfig):
    """Every position attends to itself and all positions before it.

    Source: "Attention Is All You Need", section 3.2, equation 1, with a causal mask.
    """

    name: str = "dense"

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        from gptkit.attention.dense import DenseAttention

        return DenseAttention(width=width, heads=heads, dropout=dropout)


@dataclass
class BandedAttentionConfig(AttentionConfig):
    """Every position attends to the last `window` positions, itself included.

    Source: "Generating Long Sequences with Sparse Transformers", section 4.3; exact, by mask.
    """

    name: str = "banded"
    window: Annotated[int, "keys that a query sees, itself included", at_least(1), at_most(CONTEXT)] = 256

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        from gptkit.attention.banded import BandedAttention

        return BandedAttention(width=width, heads=heads, dropout=dropout, window=self.window)

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        window = min(self.window, context)
        return window * (context - (window - 1) / 2) / context  # the first `window` queries see 1, 2, ..., window keys


@dataclass
class AlternatingAttentionConfig(AttentionConfig):
    """Layers alternate between dense and banded attention, as in GPT-3.

    Source: "Language Models are Few-Shot Learners", section 2.1. The width of the band and which layers are
    dense were not published: ours.
    """

    name: str = "alternating"
    window: Annotated[int, "keys that a query sees in a banded layer, itself included", at_least(1), at_most(CONTEXT)] = 256
    first: Annotated[str, "what layer 0 is: dense or banded", one_of("dense", "banded")] = "dense"

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        kind = self._of_layer(layer)
        return kind.build(width=width, heads=heads, context=context, dropout=dropout, layer=layer, layers=layers)

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        return self._of_layer(layer).keys_per_query(context=context, layer=layer, layers=layers)

    def _of_layer(self, layer: int) -> AttentionConfig:
        dense_here = (layer % 2 == 0) == (self.first == "dense")
        return DenseAttentionConfig() if dense_here else BandedAttentionConfig(window=self.window)


@hookimpl
def gptkit_attention() -> list[type[AttentionConfig]]:
    return [DenseAttentionConfig, BandedAttentionConfig, AlternatingAttentionConfig]
