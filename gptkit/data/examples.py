"""What all sources of labelled examples share: their text, where a tokenizer or language modelling asks for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from gptkit.data.built import BuiltData, Chunk
from gptkit.records import Example


class BuiltExamples(BuiltData):
    """A source of `gptkit.records.Example`. As text, an example is one document without its label."""

    @abstractmethod
    def records(self, split: str) -> Iterator[Example]:
        """The examples of one split, always in the same order."""

    def chunks(self, split: str) -> Iterator[Chunk]:
        for example in self.records(split):
            yield Chunk(text_of(example), last=True)


def text_of(example: Example) -> str:
    """The text, the pair and the options, each on a line of its own; never the label."""
    return "\n".join([example.text, *([] if example.pair is None else [example.pair]), *example.options])
