"""Callbacks: the contract, the built-in `early_stopping`, and the hook that offers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    import lightning


@dataclass
class Callback(Part):
    """A Lightning callback, added to a run with `+callback@callback.<any name>=<part>`.

    Subclass it, give `name` a default, add fields, and write `build`.
    """

    name: str = ""

    def build(self) -> lightning.Callback:
        """Make the callback."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class EarlyStopping(Callback):
    """Stop when the validation loss has not improved for `patience` validations."""

    name: str = "early_stopping"
    patience: Annotated[int, "validations without improvement before the run stops"] = 3
    improvement: Annotated[float, "smallest fall of the validation loss that counts, in nats"] = 0.0

    def build(self) -> lightning.Callback:
        from gptkit.callback.early_stopping import StopWhenFlat

        return StopWhenFlat(patience=self.patience, improvement=self.improvement)


@hookimpl
def gptkit_callback() -> list[type[Callback]]:
    return [EarlyStopping]
