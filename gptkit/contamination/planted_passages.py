"""Measures how many passages of the training text an index finds, exact and with replaced words."""

from __future__ import annotations

import numpy as np

from gptkit.contamination.index import NgramIndex
from gptkit.contamination.lookup import look_up

PASSAGES = 1000
MIN_WORDS, MAX_WORDS = 20, 80
"""The lengths of passages, unless their document ends earlier."""

REPLACED = 15
"""One word in this many is replaced."""


def measure_recall(index: NgramIndex, n: int, *, passages: int = PASSAGES) -> dict[str, float | int]:
    """Return the recall of passages that are planted in a test set: `exact`, and `replaced`, with one word in fifteen replaced.

    A passage is found if the lookup names the document that it was taken from. The passages start at random positions of the
    training text, the same ones each time. The replaced words are at random positions within the passage; other words of the
    training text take their place.

    Args:
        index: the index.
        n: words of an N-gram.
        passages: number of passages.
    """
    _, positions = index.entries(n)
    generator = np.random.Generator(np.random.Philox(key=len(positions)))
    exact = replaced = 0
    for position in _draw(generator, positions, passages):
        line = index.document_at(position)
        length = int(generator.integers(max(n, MIN_WORDS), max(n, MAX_WORDS), endpoint=True))
        words = _words_from(index, position, length)
        exact += _is_found(index, words, n, line)
        places = generator.permutation(len(words))[: round(len(words) / REPLACED)].tolist()
        for place, other in zip(places, _draw(generator, positions, len(places)), strict=True):
            words[place] = _words_from(index, other, 1)[0]
        replaced += _is_found(index, words, n, line)
    return {"passages": passages, "exact": exact / passages, "replaced": replaced / passages}


def _draw(generator: np.random.Generator, positions: np.ndarray[tuple[int], np.dtype[np.uint64]], count: int) -> list[int]:
    return [int(positions[index]) for index in generator.integers(len(positions), size=count).tolist()]


def _words_from(index: NgramIndex, position: int, count: int) -> list[str]:
    """Return up to `count` words of a document from a position on."""
    size = 64 * count
    while True:
        line, is_cut = index.words[position : position + size], position + size < len(index.words)
        end = line.find(b"\n")
        words = (line if end < 0 else line[:end]).split(b" ")
        if end < 0 and is_cut and len(words) <= count:
            size *= 2
            continue
        return [word.decode() for word in words[:count]]


def _is_found(index: NgramIndex, words: list[str], n: int, line: int) -> bool:
    overlap = look_up(index, " ".join(words), n, max_documents=1 << 30)
    return any(match.line == line for match in overlap.documents)
