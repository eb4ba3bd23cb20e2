"""Sources of labelled examples: their text, where a tokenizer or language modelling asks for it, and how they are read."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator

from gptkit.data.base import Chunk, Data
from gptkit.errors import DataError
from gptkit.records import Example


class LabelledData(Data):
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


def examples_of(data: Data, split: str, *, reader: str) -> Iterator[Example]:
    """The examples of a split of any source; each knows where it stands.

    Args:
        data: the source.
        split: one of its splits.
        reader: what asks for them, for messages: `objective=aux_lm`.

    Raises:
        DataError: the source has records of another kind, or none.
    """
    named = "training" if split == "train" else split
    number = 0
    for number, record in enumerate(data.records(split), 1):
        if not isinstance(record, Example):
            raise DataError(
                f"{reader} reads labelled examples, and the source gives {type(record).__name__}s; "
                "choose data=labelled, or one of the embedded sets (gptkit plugins kind=data)"
            )
        yield record if record.where else dataclasses.replace(record, where=f"example {number} of the {named} split")
    if not number:
        raise DataError(f"{reader}: the {split} split has no examples")
