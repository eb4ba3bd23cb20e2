"""Long documents as pieces that a tokenizer can take one by one, and pieces as batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gptkit.data.built import Chunk

PIECE = 1 << 12
"""Characters of a piece, where the tokenizer knows a place to cut: enough pieces a batch to keep every core busy to its end."""


@dataclass
class Batch:
    """Pieces that are encoded together: `last[i]` says whether a document ends with `texts[i]`."""

    texts: list[str] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    read: float | None = None


def pieces(chunks: Iterable[Chunk], cut: Callable[[str], int], *, size: int = PIECE) -> Iterator[Chunk]:
    """The same documents in pieces of at most `size` characters, cut only where `cut` allows.

    Args:
        chunks: documents in pieces of any length, cut anywhere.
        cut: `BuiltTokenizer.cut`: the last place of a text where it may be cut, 0 for none.
        size: longest piece, where there are such places; else a piece is as long as it must be.
    """
    held: list[str] = []
    held_size, enough = 0, size
    for chunk in chunks:
        held.append(chunk.text)
        held_size += len(chunk.text)
        if not chunk.last and held_size < enough:
            continue
        text, begin, window = "".join(held), 0, size
        while begin + window < len(text):
            at = cut(text[begin : begin + window])
            if at:
                yield Chunk(text[begin : begin + at], last=False, read=chunk.read)
                begin, window = begin + at, size
            else:
                window *= 2  # doubling keeps the work in proportion to the text where it has no place to cut
        if chunk.last:
            yield Chunk(text[begin:], last=True, read=chunk.read)
            held, held_size, enough = [], 0, size
        else:
            held, held_size = [text[begin:]], len(text) - begin
            enough = max(size, 2 * held_size)


def batches(chunks: Iterable[Chunk], *, size: int) -> Iterator[Batch]:
    """Pieces together, until a batch has at least `size` characters."""
    batch, characters = Batch(), 0
    for chunk in chunks:
        batch.texts.append(chunk.text)
        batch.last.append(chunk.last)
        batch.read = chunk.read
        characters += len(chunk.text)
        if characters >= size:
            yield batch
            batch, characters = Batch(), 0
    if batch.texts:
        yield batch
