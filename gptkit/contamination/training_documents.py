"""The documents that a run trains on, without those that it holds out for validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gptkit.data.base import Chunk, Data
from gptkit.data.splits import Ranges, split_documents, split_items
from gptkit.data.tokens.shards import Shards
from gptkit.data.tokens.tokenization import tokenize_split

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer

DECODED_TOKENS = 1 << 16
"""Tokens that are decoded at once."""


@dataclass(frozen=True)
class TrainingSource:
    """A data source of a run, and how the run splits it."""

    key: str
    """The key of the source in the settings of the run, such as `data`."""
    data: Data
    fraction: float
    """The share of the source that the run holds out if the source has no validation split."""
    tokenizer: Tokenizer | None = None
    """The tokenizer of a run that splits token shards; None: the run splits records."""


@dataclass(frozen=True)
class DocumentPart:
    """A part of the text of a training document. The parts of a document follow one another in order."""

    component: int
    """The number of the component among those of all sources."""
    number: int
    """The number of the document in the training split of its component, from 0; among token shards, documents without text are not
    counted."""
    tokens: tuple[int, int]
    """The half-open range of its tokens in the token shards; (-1, -1) for records."""
    text: str
    is_last: bool
    progress: float | None
    """The share of its component that has been read, between 0 and 1; None if unknown."""


def component_keys(sources: list[TrainingSource]) -> list[str]:
    """Return the key of each component of all sources, such as `data.sources.speeches`."""
    return [f"{source.key}{key.removeprefix('data')}" for source in sources for key in source.data.components()]


def training_documents(sources: list[TrainingSource]) -> Iterator[DocumentPart]:
    """Yield the text of all documents that the run trains on, in the order of the sources.

    Raises:
        DataError: the text cannot be read.
    """
    component = 0
    for source in sources:
        for data in source.data.components().values():
            fraction = 0.0 if "validation" in data.splits else source.fraction
            if source.tokenizer is None:
                yield from _from_records(component, data, fraction)
            else:
                yield from _from_tokens(component, data, fraction, source.tokenizer)
            component += 1


def _from_records(component: int, data: Data, fraction: float) -> Iterator[DocumentPart]:
    if fraction > 0:
        count = sum(chunk.is_last for chunk in data.chunks("train"))
        ranges, _ = split_items(count, fraction)
    for number, chunk in _numbered(data.chunks("train")):
        if fraction <= 0 or _contains(ranges, number):
            yield DocumentPart(component, number, (-1, -1), chunk.text, chunk.is_last, chunk.progress)


def _from_tokens(component: int, data: Data, fraction: float, tokenizer: Tokenizer) -> Iterator[DocumentPart]:
    shards = tokenize_split(data, "train", tokenizer)
    ranges, _ = split_documents(shards.ends, fraction)
    borders = np.concatenate([np.zeros(1, dtype=np.int64), shards.ends])
    if np.isin(np.array(ranges), borders).all() and sum(chunk.is_last for chunk in _with_text(data)) == len(shards.ends):
        for number, chunk in _numbered(_with_text(data)):
            begin, end = int(borders[number]), int(borders[number + 1])
            if _contains(ranges, begin):
                yield DocumentPart(component, number, (begin, end), chunk.text, chunk.is_last, chunk.progress)
        return
    # A document is divided between training and validation, or a document has no tokens: the text is decoded from the tokens.
    for begin, end in ranges:
        first, last = (int(shards.ends.searchsorted(position, side="right")) for position in (begin, end - 1))
        for number in range(first, last + 1):
            start, stop = max(begin, int(borders[number])), min(end, int(borders[number + 1]))
            text_end = stop - 1 if stop == borders[number + 1] else stop  # without the end-of-text token
            for text, is_last, position in _decoded(shards, start, text_end, tokenizer):
                yield DocumentPart(component, number, (start, stop), text, is_last, position / len(shards))


def _decoded(shards: Shards, begin: int, end: int, tokenizer: Tokenizer) -> Iterator[tuple[str, bool, int]]:
    """Yield the text of a range of tokens in parts that end between words where possible, whether it ends, and the position."""
    while end - begin > DECODED_TOKENS:
        ids = _read(shards, begin, begin + DECODED_TOKENS).tolist()
        cut = next((cut for cut in range(len(ids) - 1, len(ids) // 2, -1) if tokenizer.decode([ids[cut]])[:1].isspace()), len(ids))
        begin += cut
        yield tokenizer.decode(ids[:cut]), False, begin
    yield tokenizer.decode(_read(shards, begin, end).tolist()), True, end


def _read(shards: Shards, begin: int, end: int) -> NDArray[np.int64]:
    firsts = np.cumsum([0, *map(len, shards.parts)]).tolist()
    parts = [
        part[max(0, begin - first) : max(0, end - first)] for part, (first, _) in zip(shards.parts, pairwise(firsts), strict=True)
    ]
    return np.concatenate(parts).astype(np.int64)


def _with_text(data: Data) -> Iterator[Chunk]:
    """Yield the chunks of the documents that have text, since token shards contain no others."""
    is_empty = True
    for chunk in data.chunks("train"):
        is_empty = is_empty and not chunk.text
        if not is_empty:
            yield chunk
        is_empty = is_empty or chunk.is_last


def _numbered(chunks: Iterator[Chunk]) -> Iterator[tuple[int, Chunk]]:
    number = 0
    for chunk in chunks:
        yield number, chunk
        number += chunk.is_last


def _contains(ranges: Ranges, position: int) -> bool:
    return any(begin <= position < end for begin, end in ranges)
