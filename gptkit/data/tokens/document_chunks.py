"""Splitting of long documents into chunks that a tokenizer can encode separately, and batching of chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gptkit.data.base import Chunk

MAX_CHUNK = 1 << 12
"""Maximum characters of a chunk if the tokenizer allows it. Small enough that every core has chunks of a batch until its end."""


@dataclass
class ChunkBatch:
    """Chunks that are encoded together: `is_last[i]` tells whether a document ends with `texts[i]`."""

    texts: list[str] = field(default_factory=list)
    is_last: list[bool] = field(default_factory=list)
    progress: float | None = None


def split_chunks(chunks: Iterable[Chunk], split_point: Callable[[str], int], *, size: int = MAX_CHUNK) -> Iterator[Chunk]:
    """Split documents into chunks of at most `size` characters, only at positions that `split_point` allows.

    Args:
        chunks: documents in chunks of any length, split anywhere.
        split_point: `Tokenizer.split_point`: returns the last position at which a text may be split, 0 if there is none.
        size: maximum length of a chunk; longer ones are yielded only where a text has no such position.
    """
    pending: list[str] = []
    pending_size, target_size = 0, size
    for chunk in chunks:
        pending.append(chunk.text)
        pending_size += len(chunk.text)
        if not chunk.is_last and pending_size < target_size:
            continue
        text, begin, window = "".join(pending), 0, size
        while begin + window < len(text):
            length = split_point(text[begin : begin + window])
            if length:
                yield Chunk(text[begin : begin + length], is_last=False, progress=chunk.progress)
                begin, window = begin + length, size
            else:
                window *= 2  # doubling keeps the work linear in the length of a text that has no split point
        if chunk.is_last:
            yield Chunk(text[begin:], is_last=True, progress=chunk.progress)
            pending, pending_size, target_size = [], 0, size
        else:
            pending, pending_size = [text[begin:]], len(text) - begin
            target_size = max(size, 2 * pending_size)


def batch_chunks(chunks: Iterable[Chunk], *, size: int) -> Iterator[ChunkBatch]:
    """Group chunks into batches of at least `size` characters."""
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
