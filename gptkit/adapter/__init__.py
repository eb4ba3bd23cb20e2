"""Adapters: the base class of their configs, and the hook that registers them. gptkit itself has none; gptkit-peft adds `lora`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from torch import nn

    from gptkit.adapter.base import Adapter


@dataclass
class AdapterConfig(Part):
    """A few weights that are trained in place of those of a trained model, the base. Checkpoints hold only these weights.

    Subclasses set `name` to a default, add fields and implement `build`, which returns a `gptkit.adapter.base.Adapter`. Adapters
    share no keys.
    """

    name: str = ""

    def build(self, *, model: nn.Module, seed: int) -> Adapter:
        """Add the adapter's weights to a model, in place, such that its outputs do not change.

        Args:
            model: a model that has its weights, on any device; on the meta device to count parameters.
            seed: the seed of the run, for initial weights that are random.

        Raises:
            ConfigError: the model has no layer that the adapter can change.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@hookimpl
def gptkit_adapter() -> list[type[AdapterConfig]]:
    return []
