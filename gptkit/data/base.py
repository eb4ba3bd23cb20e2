"""What every data source is once built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gptkit.records import Record


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document's text. Documents follow one another, their pieces in order."""

    text: str
    last: bool
    """Whether the document ends here."""
    read: float | None = None
    """Share of the split that has been read, between 0 and 1, where the source knows."""


class Data(ABC):
    """Records by split, streamed: a source never holds its whole content in memory."""

    splits: tuple[str, ...] = ("train",)
    """The splits that the source itself has; "train" is always there, "validation" and "test" where the source brings them."""

    fingerprint: str
    """SHA-256 (hexadecimal) of the content and of every setting that changes the records."""

    @abstractmethod
    def records(self, split: str) -> Iterator[Record]:
        """The records of one split, always in the same order."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        """The text of a split's documents in pieces, for sources whose documents may be larger than memory; else one each."""
        for record in self.records(split):
            yield Chunk(record.text, last=True)  # type: ignore[union-attr]  # only sources of documents are asked

    def components(self) -> Mapping[str, Data]:
        """The sources of which each holds out its own part for validation, by their keys: this one alone, whose key is empty."""
        return {"": self}

    def texts(self) -> Iterator[str]:
        """The text that a tokenizer may learn from: that of every training record."""
        for chunk in self.chunks("train"):
            yield chunk.text  # sources of other records override this
