"""Long documents as pieces that a tokenizer can take one by one, and pieces as bundles that it takes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from gptkit.data.base import Chunk

PIECE = 1 << 12
"""Characters of a piece, where the tokenizer knows a place to cut: enough pieces a bundle to keep every core busy to its end."""


@dataclass
class Bundle:
    """Pieces that are encoded together: `last[i]` says whether a document ends with `texts[i]`."""

    texts: list[str] = field(default_factory=list)
    last: list[bool] = field(default_factory=list)
    read: float | None = None


def pieces(chunks: Iterable[Chunk], cut: Callable[[str], int], *, size: int = PIECE) -> Iterator[Chunk]:
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


def bundles(chunks: Iterable[Chunk], *, size: int) -> Iterator[Bundle]:
    """Pieces together, until a bundle has at least `size` characters."""
    bundle, characters = Bundle(), 0
    for chunk in chunks:
        bundle.texts.append(chunk.text)
        bundle.last.append(chunk.last)
        bundle.read = chunk.read
        characters += len(chunk.text)
        if characters >= size:
            yield bundle
            bundle, characters = Bundle(), 0
    if bundle.texts:
        yield bundle
