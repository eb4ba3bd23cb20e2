"""What every data source's settings are: the base class of the kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.data.parsing.examples import ExampleColumns


@dataclass
class DataConfig(Part):
    """Where records come from.

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.data.base.Data`.
    No key is shared by all sources.
    """

    name: str = ""

    def build(self) -> Data:
        """Open the source: finds its files and their fingerprint, reads no record yet."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")

    def example_columns(self) -> ExampleColumns | None:
        """The columns that labelled examples are read from: what `gptkit predict` looks for in a file, too. None: no columns."""
        return None
