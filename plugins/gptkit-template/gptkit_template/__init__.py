"""`attention=tapering`: banded attention whose band narrows from layer to layer, with the verb `bands` and the paper `+tapered`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gptkit import hookimpl
from gptkit.attention import AttentionConfig, BandedAttentionConfig
from gptkit.constraints import CONTEXT, at_least, at_most
from gptkit_template.bands import gptkit_command as gptkit_command  # gptkit calls every hook in this module

if TYPE_CHECKING:
    from gptkit.attention.base import Attention


@dataclass
class TaperingAttentionConfig(AttentionConfig):
    """Banded attention whose window halves from one layer to the next. An example to copy, not from a paper."""

    name: str = "tapering"
    window: Annotated[int, "keys that a query sees in layer 0, itself included", at_least(1), at_most(CONTEXT)] = 256
    narrowest: Annotated[int, "smallest window of any layer", at_least(1)] = 8

    def __post_init__(self) -> None:
        if self.narrowest > self.window:
            raise ValueError(f"attention.narrowest={self.narrowest} must be at most attention.window={self.window}")

    def of_layer(self, layer: int) -> BandedAttentionConfig:
        return BandedAttentionConfig(window=max(self.window >> layer, self.narrowest))

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        band = self.of_layer(layer)
        return band.build(width=width, heads=heads, context=context, dropout=dropout, layer=layer, layers=layers)

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        return self.of_layer(layer).keys_per_query(context=context, layer=layer, layers=layers)


@hookimpl
def gptkit_attention() -> list[type[AttentionConfig]]:
    return [TaperingAttentionConfig]
