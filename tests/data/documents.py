"""A source of documents for tests of tokenisation, and the ids of its shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gptkit.data.base import Data
from gptkit.data.tokens.shards import Shards
from gptkit.records import Document


class Documents(Data):
    """A source with the given texts."""

    def __init__(self, texts: Sequence[str], fingerprint: str = "documents") -> None:
        self._texts, self.fingerprint = texts, fingerprint

    def records(self, split: str) -> Iterator[Document]:
        return map(Document, self._texts)


def ids_of(shards: Shards) -> list[int]:
    return [token for part in shards.parts for token in part.tolist()]
