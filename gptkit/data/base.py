"""The base classes of data sources, and how their records are read as text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gptkit.records import Dialogue, Example, Prompt, Ranking, Record


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document's text. Documents follow one another, their pieces in order."""

    text: str
    is_last: bool
    """Whether the document ends here."""
    progress: float | None = None
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
            yield Chunk(record.text, is_last=True)  # type: ignore[union-attr]  # only sources of documents are asked

    def components(self) -> Mapping[str, Data]:
        """The sources of which each holds out its own part for validation, by their keys: this one alone, whose key is empty."""
        return {"": self}

    def texts(self) -> Iterator[str]:
        """The text that a tokenizer may learn from: that of every training record."""
        for chunk in self.chunks("train"):
            yield chunk.text  # sources of other records override this


class ConversationalData(Data):
    """A source of dialogues, rankings or prompts. As text, a record is one document."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        for record in self.records(split):
            yield Chunk(conversation_text(record), is_last=True)  # type: ignore[arg-type]  # subclasses yield no others


class LabelledData(Data):
    """A source of `gptkit.records.Example`. As text, an example is one document without its label."""

    @abstractmethod
    def records(self, split: str) -> Iterator[Example]:
        """The examples of one split, always in the same order."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        for example in self.records(split):
            yield Chunk(example_text(example), is_last=True)


def example_text(example: Example) -> str:
    """The text, the pair and the options, each on a line of its own; never the label."""
    return "\n".join([example.text, *([] if example.pair is None else [example.pair]), *example.options])


def conversation_text(record: Dialogue | Ranking | Prompt) -> str:
    """The turns as one document, each on lines of its own; of a ranking every completion and the demonstration too, never facts."""
    if isinstance(record, Ranking):
        demonstration = [record.demonstration] if record.demonstration else []
        return "\n".join([*(turn.text for turn in record.prompt), *record.completions, *demonstration])
    return "\n".join(turn.text for turn in record.turns)
