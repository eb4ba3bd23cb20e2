"""The base class of adapters: the weights that belong to it, how it is turned off, and how it is merged into the base."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from gptkit.adapter import AdapterConfig


class Adapter(ABC):
    """An adapter that `AdapterConfig.build` added to a model.

    It is copied with its model, so it must not refer to modules; every method receives the model.
    """

    settings: AdapterConfig
    """The adapter's config, and the seed of `build`. Set by `gptkit.model.adapted.add_adapter`."""
    seed: int

    @abstractmethod
    def owns(self, name: str) -> bool:
        """Return whether the entry of this name in the model's state_dict belongs to the adapter. All others are the base's."""

    @abstractmethod
    def disabled(self, model: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which the outputs of the model are bit-equal to those of its base."""

    @abstractmethod
    def merge(self, model: nn.Module) -> None:
        """Add the adapter to the weights of the base, in place. The model then has the modules that it had before `build`."""
