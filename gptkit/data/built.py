"""What every data source is once built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from gptkit.records import Record


class BuiltData(ABC):
    """Records by split, streamed: a source never holds its whole content in memory."""

    splits: tuple[str, ...] = ("train",)
    """The splits that the source itself has; "train" is always there, "validation" and "test" where the source brings them."""

    fingerprint: str
    """SHA-256 (hexadecimal) of the content and of every setting that changes the records."""

    @abstractmethod
    def records(self, split: str) -> Iterator[Record]:
        """The records of one split, always in the same order."""

    def texts(self) -> Iterator[str]:
        """The text that a tokenizer may learn from: that of every training record."""
        for record in self.records("train"):
            yield record.text  # type: ignore[union-attr]  # sources of other records override this
