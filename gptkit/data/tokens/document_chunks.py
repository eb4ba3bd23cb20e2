"""Long documents as pieces that a tokenizer can take one by one, and pieces as bundles that it takes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gptkit.data.base import Chunk

MAX_CHUNK = 1 << 12
"""Characters of a piece, where the tokenizer knows a place to cut: enough pieces a batch to keep every core busy to its end."""


@dataclass
class ChunkBatch:
    """Pieces that are encoded together: `last[i]` says whether a document ends with `texts[i]`."""

    texts: list[str] = field(default_factory=list)
    is_last: list[bool] = field(default_factory=list)
    progress: float | None = None


def split_chunks(chunks: Iterable[Chunk], cut: Callable[[str], int], *, size: int = MAX_CHUNK) -> Iterator[Chunk]:
    """The same documents in pieces of at most `size` characters, cut only where `cut` allows.

    Args:
        chunks: documents in pieces of any length, cut anywhere.
        cut: `Tokenizer.cut`: the last place of a text where it may be cut, 0 for none.
        size: longest piece, where there are such places; else a piece is as long as it must be.
    """
    held: list[str] = []
    held_size, enough = 0, size
    for chunk in chunks:
        held.append(chunk.text)
        held_size += len(chunk.text)
        if not chunk.is_last and held_size < enough:
            continue
        text, begin, window = "".join(held), 0, size
        while begin + window < len(text):
            at = cut(text[begin : begin + window])
            if at:
                yield Chunk(text[begin : begin + at], is_last=False, progress=chunk.progress)
                begin, window = begin + at, size
            else:
                window *= 2  # doubling keeps the work in proportion to the text where it has no place to cut
        if chunk.is_last:
            yield Chunk(text[begin:], is_last=True, progress=chunk.progress)
            held, held_size, enough = [], 0, size
        else:
            held, held_size = [text[begin:]], len(text) - begin
            enough = max(size, 2 * held_size)


def batch_chunks(chunks: Iterable[Chunk], *, size: int) -> Iterator[ChunkBatch]:
    """Pieces together, until a batch has at least `size` characters."""
    batch, characters = ChunkBatch(), 0
    for chunk in chunks:
        batch.texts.append(chunk.text)
        batch.is_last.append(chunk.is_last)
        batch.progress = chunk.progress
        characters += len(chunk.text)
        if characters >= size:
            yield batch
            batch, characters = ChunkBatch(), 0
    if batch.texts:
        yield batch
