"""The verb `bands`. The class defines its keys, and `conf/bands.yaml` is its primary configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from omegaconf import MISSING

from gptkit import hookimpl
from gptkit.attention import AttentionConfig
from gptkit.command import Command
from gptkit.constraints import CONTEXT, LAYERS, at_least, at_most


@dataclass
class BandsCommand(Command):
    """Print how many keys a query sees in each layer, on average over a sequence."""

    verb: ClassVar[str] = "bands"
    attention: AttentionConfig = MISSING
    layers: Annotated[int, "number of layers", at_least(1), at_most(LAYERS)] = 6
    context: Annotated[int, "length of the sequence", at_least(1), at_most(CONTEXT)] = 1024

    def execute(self, folder: Path) -> list[float]:
        keys_by_layer = [
            self.attention.keys_per_query(context=self.context, layer=layer, layers=self.layers) for layer in range(self.layers)
        ]
        for layer, keys in enumerate(keys_by_layer):
            print(f"layer {layer}: {keys:.1f}")
        return keys_by_layer


@hookimpl
def gptkit_command() -> list[type[Command]]:
    return [BandsCommand]
