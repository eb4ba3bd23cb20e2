"""The base class of the configs of data sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.data.parsing.examples import ExampleColumns


@dataclass
class DataConfig(Part):
    """A source of records.

    To write one, subclass this class, set `name` to its default, add fields, and implement `build`, which returns a
    `gptkit.data.base.Data`. Data sources share no keys.
    """

    name: str = ""

    def build(self) -> Data:
        """Open the source: find its files and compute their fingerprint, without reading records."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")

    def example_columns(self) -> ExampleColumns | None:
        """Return the columns of labelled examples, which `gptkit predict` reads too; None if the source has no columns."""
        return None
