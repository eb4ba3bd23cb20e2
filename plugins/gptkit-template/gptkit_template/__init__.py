"""`attention=tapering`: a band that narrows from layer to layer, and the verb `bands` that shows it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from gptkit import hookimpl
from gptkit.attention import Attention, Banded
from gptkit.command import Command


@dataclass
class Tapering(Attention):
    """Banded attention whose window halves from one layer to the next.

    Source: none; an example to copy.
    """

    name: str = "tapering"
    window: Annotated[int, "keys that a query sees in layer 0, itself included"] = 256
    narrowest: Annotated[int, "no layer sees fewer"] = 8

    def window_of(self, layer: int) -> int:
        return max(self.window >> layer, self.narrowest)

    def build(self, *, width, heads, context, dropout, layer, layers):
        band = Banded(window=self.window_of(layer))
        return band.build(width=width, heads=heads, context=context, dropout=dropout, layer=layer, layers=layers)


@dataclass
class Bands(Command):
    """Print how many keys a query sees in each layer of a tapering model."""

    verb: ClassVar[str] = "bands"
    attention: Attention = "???"
    layers: Annotated[int, "number of layers"] = 6

    def run(self, folder: Path) -> list[int]:
        windows = [self.attention.window_of(layer) for layer in range(self.layers)]
        print("\n".join(f"layer {layer}: {window}" for layer, window in enumerate(windows)))
        return windows


@hookimpl
def gptkit_attention():
    return [Tapering]


@hookimpl
def gptkit_command():
    return [Bands]
