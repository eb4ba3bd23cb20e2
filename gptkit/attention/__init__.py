"""Attention types: the base class of their configs, the built-in configs, and the hook that registers them."""

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

    Subclasses set `name` to a default, add fields and implement `build`, which returns a `gptkit.attention.base.Attention`.
    Attention types share no keys.
    """

    name: str = ""

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        """Build the attention of one layer.

        Args:
            width: size D of the hidden states.
            heads: number H of heads, each of size D / H.
            context: maximum sequence length T.
            dropout: probability of dropping an attention weight in training.
            layer: index of the layer, from 0.
            layers: number of layers.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        """Return the mean number of keys of a query of one layer over a full sequence, for `gptkit plan`.

        Override this method if a query attends to fewer keys than in dense causal attention. Arguments as for `build`.
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

    Source: "Generating Long Sequences with Sparse Transformers", section 4.3. Computed exactly with a mask.
    """

    name: str = "banded"
    window: Annotated[int, "number of keys of a query, including its own", at_least(1), at_most(CONTEXT)] = 256

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        from gptkit.attention.banded import BandedAttention

        return BandedAttention(width=width, heads=heads, dropout=dropout, window=self.window)

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        window = min(self.window, context)
        return window * (context - (window - 1) / 2) / context  # the first `window` queries have 1, 2, ..., window keys


@dataclass
class AlternatingAttentionConfig(AttentionConfig):
    """Layers alternate between dense and banded attention, as in GPT-3.

    Source: "Language Models are Few-Shot Learners", section 2.1. The width of the band and the order of the
    layers are ours, since they are not published.
    """

    name: str = "alternating"
    window: Annotated[int, "number of keys of a query in a banded layer, including its own", at_least(1), at_most(CONTEXT)] = 256
    first: Annotated[str, "the type of layer 0: dense or banded", one_of("dense", "banded")] = "dense"

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        config = self._layer_config(layer)
        return config.build(width=width, heads=heads, context=context, dropout=dropout, layer=layer, layers=layers)

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        return self._layer_config(layer).keys_per_query(context=context, layer=layer, layers=layers)

    def _layer_config(self, layer: int) -> AttentionConfig:
        is_dense = (layer % 2 == 0) == (self.first == "dense")
        return DenseAttentionConfig() if is_dense else BandedAttentionConfig(window=self.window)


@hookimpl
def gptkit_attention() -> list[type[AttentionConfig]]:
    return [DenseAttentionConfig, BandedAttentionConfig, AlternatingAttentionConfig]
