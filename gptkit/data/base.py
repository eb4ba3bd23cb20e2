"""The base classes of data sources, and the conversion of their records to text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gptkit.records import Dialogue, Example, Prompt, Ranking, Record


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a document's text. The chunks of a document follow one another in order, and so do the documents."""

    text: str
    is_last: bool
    """Whether the document ends with this chunk."""
    progress: float | None = None
    """Share of the split that has been read, between 0 and 1; None if the source does not know it."""


class Data(ABC):
    """A data source: yields the records of each split one at a time, without loading all of them into memory."""

    splits: tuple[str, ...] = ("train",)
    """The splits of the source: always "train"; also "validation" and "test" if the source defines them."""

    fingerprint: str
    """SHA-256 (hexadecimal) of the content and of every setting that affects the records."""

    @abstractmethod
    def records(self, split: str) -> Iterator[Record]:
        """Yield the records of a split, always in the same order."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        """Yield the text of a split in chunks: by default one chunk per record. Sources of very large documents yield several."""
        for record in self.records(split):
            yield Chunk(record.text, is_last=True)  # type: ignore[union-attr]  # other sources override this method

    def components(self) -> Mapping[str, Data]:
        """Return the sources that are split for validation separately, by key: by default this one, with an empty key."""
        return {"": self}

    def weights(self) -> Mapping[str, float]:
        """Return how many times the training records of a component occur, by its key; once if it has no entry."""
        return {}

    def texts(self) -> Iterator[str]:
        """Yield the training text for a tokenizer: the text of every training record."""
        for chunk in self.chunks("train"):
            yield chunk.text


class ConversationalData(Data):
    """A source of dialogues, rankings or prompts. Read as text, each record is one document."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        for record in self.records(split):
            yield Chunk(conversation_text(record), is_last=True)  # type: ignore[arg-type]  # subclasses yield no other records


class LabelledData(Data):
    """A source of `gptkit.records.Example`. Read as text, each example is one document, without its label."""

    @abstractmethod
    def records(self, split: str) -> Iterator[Example]:
        """Yield the examples of a split, always in the same order."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        for example in self.records(split):
            yield Chunk(example_text(example), is_last=True)


def example_text(example: Example) -> str:
    """Return the text, the second text and the options of an example, one per line. The label is left out."""
    return "\n".join([example.text, *([] if example.pair is None else [example.pair]), *example.options])


def conversation_text(record: Dialogue | Ranking | Prompt) -> str:
    """Return the turns of a record, one per line. A ranking adds its completions and its demonstration; facts are left out."""
    if isinstance(record, Ranking):
        demonstration = [record.demonstration] if record.demonstration else []
        return "\n".join([*(turn.text for turn in record.prompt), *record.completions, *demonstration])
    return "\n".join(turn.text for turn in record.turns)
