"""The config of text without what occurs in evaluation sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from gptkit.constraints import at_least, at_most
from gptkit.data.config import DataConfig
from gptkit.errors import ConfigError
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.data.base import Data

_EXAMPLE = "data.source={name:text,path:corpus} data.remove={piqa:{name:choices,path:piqa.jsonl}}"


@dataclass
class DecontaminatedConfig(DataConfig):
    """Text of another source without what occurs in evaluation sets, as GPT-3 removes it from its training text.

    Source: "Language Models are Few-Shot Learners", appendix C. Each 13-gram of an item and 200 characters on both sides of it are
    removed, which splits a document into pieces. Pieces of less than 200 characters are dropped, and so are documents that are
    split into more than 10 pieces. 13-grams of more than 10 documents are common phrases, and are not removed.
    """

    name: str = "decontaminated"
    source: Annotated[dict[str, Any], "the settings of the source of the text, with its `name`"] = field(default_factory=dict)
    remove: Annotated[
        dict[str, Any], "the evaluation sets: keys of your choice with the settings of each source, such as name: choices"
    ] = field(default_factory=dict)
    n: Annotated[int, "words of an N-gram", at_least(2), at_most(64)] = 13
    window: Annotated[int, "characters to remove on each side of an N-gram", at_least(0), at_most(1_000_000)] = 200
    shortest_piece: Annotated[int, "characters of the shortest piece that is kept", at_least(1)] = 200
    most_pieces: Annotated[int, "a document that is split into more pieces, short ones included, is removed", at_least(0)] = 10
    most_documents: Annotated[
        int, "N-grams of more documents than this are not removed; 0: all are removed, and the text is read once less", at_least(0)
    ] = 10

    def build(self) -> Data:
        """Build the source.

        Raises:
            ConfigError: `source` or `remove` is empty, or a source cannot be built.
        """
        from gptkit.data.sources.decontaminated import Decontaminated

        if not self.source or not self.remove:
            raise ConfigError(f"data=decontaminated needs data.source and data.remove, such as {_EXAMPLE}")
        parts = registry()
        source: Data = parts.resolve("data", self.source, path="data.source", example="{name: text, path: ...}").build()
        remove = {
            name: parts.resolve("data", each, path=f"data.remove.{name}", example="{name: choices, path: ...}").build()
            for name, each in self.remove.items()
        }
        return Decontaminated(self, source, remove)
