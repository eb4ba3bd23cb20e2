"""Looks up a text in an index: which training documents share an N-gram with it, and how much of it they contain.

The hashes of the index only propose positions. The words at every position are compared, so a hash collision is never reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gptkit.contamination.index import NgramIndex, TrainingDocument
from gptkit.data.ngrams.ngram_hashes import WordHasher, ngram_hashes
from gptkit.data.ngrams.normalization import normalized_words

MAX_OCCURRENCES = 1000
"""Occurrences of one N-gram that are compared, after the first true one."""

MAX_DOCUMENTS = 10
"""Documents that a result names."""

_SEPARATORS = (b" ", b"\n")

CLEAN, DIRTY, UNDECIDED = "clean", "dirty", "undecided"


@dataclass(frozen=True)
class DocumentMatch:
    """A training document that shares N-grams with a text."""

    document: TrainingDocument
    line: int
    """Its line in words.txt of the index, from 0."""
    ngrams: int
    """How many of the text's N-grams occur in the document, each position in the text counted once."""


@dataclass(frozen=True)
class MatchingSpan:
    """Words of a text that occur in a training document in the same order."""

    begin: int
    """The number of its first word in the text, from 0."""
    words: int
    text: str
    """The normalised words."""
    document: TrainingDocument


@dataclass(frozen=True)
class Overlap:
    """The overlap of a text with the training text."""

    n: int
    words: int
    """Words of the text."""
    ngrams: int
    """N-grams of the text; 0 if it has fewer than N words."""
    matched: int
    """N-grams of the text that occur in the training text."""
    documents: tuple[DocumentMatch, ...]
    """The documents that contain the most N-grams of the text, at most `MAX_DOCUMENTS`."""
    document_count: int
    """The number of documents that contain an N-gram of the text, among the occurrences that were compared."""
    longest: MatchingSpan | None

    @property
    def status(self) -> str:
        """`dirty` if any N-gram occurs in the training text, `clean` if none does, `undecided` if the text has none."""
        if not self.ngrams:
            return UNDECIDED
        return DIRTY if self.matched else CLEAN

    @property
    def share(self) -> float | None:
        """The share of the text's N-grams that occur in the training text (GPT-2's overlap for N = 8); None if undecided."""
        return self.matched / self.ngrams if self.ngrams else None


def look_up(index: NgramIndex, text: str, n: int, *, max_documents: int = MAX_DOCUMENTS) -> Overlap:
    """Return the overlap of a text with the training text of an index.

    Args:
        index: the index.
        text: any text.
        n: words of an N-gram; the index must have been built with it.
        max_documents: documents that the result names.

    Raises:
        ConfigError: the index has no N-grams of this length.
    """
    hashes, positions = index.entries(n)
    words = normalized_words(text)
    encoded = [word.encode("utf-8", "replace") for word in words]
    query = ngram_hashes(WordHasher()(words), n, bits=index.bits)
    low, high = hashes.searchsorted(query, side="left"), hashes.searchsorted(query, side="right")
    verified: set[tuple[int, int]] = set()  # (word of the text, position in the index) of N-grams inside spans found before
    documents: Counter[int] = Counter()
    matched, longest, longest_position = 0, (0, 0), 0
    for begin in np.flatnonzero(low < high).tolist():
        found: set[int] = set()
        for compared, position in enumerate(_read_in_blocks(positions, int(low[begin]), int(high[begin]))):
            if found and compared >= MAX_OCCURRENCES:
                break
            if (begin, position) not in verified:
                span = _matching_positions(index, encoded, begin, position)
                if len(span) < n:
                    continue  # another N-gram with the same hash
                verified.update((begin + offset, place) for offset, place in enumerate(span[: len(span) - n + 1]))
                if len(span) > longest[1]:
                    longest, longest_position = (begin, len(span)), position
            found.add(index.document_at(position))
        matched += bool(found)
        documents.update(found)
    best = sorted(documents, key=lambda line: (-documents[line], line))[:max_documents]
    span_of_text = None
    if matched:
        text_of_span = " ".join(words[longest[0] : sum(longest)])
        span_of_text = MatchingSpan(*longest, text_of_span, index.document(index.document_at(longest_position)))
    return Overlap(
        n=n,
        words=len(words),
        ngrams=len(query),
        matched=matched,
        documents=tuple(DocumentMatch(index.document(line), line, documents[line]) for line in best),
        document_count=len(documents),
        longest=span_of_text,
    )


def _read_in_blocks(positions: NDArray[np.uint64], begin: int, end: int) -> Iterator[int]:
    """Yield positions without reading all of them at once, since an N-gram may occur very often."""
    for first in range(begin, end, MAX_OCCURRENCES):
        yield from positions[first : min(end, first + MAX_OCCURRENCES)].tolist()


def _matching_positions(index: NgramIndex, words: list[bytes], begin: int, position: int) -> list[int]:
    """Return the positions in the index of the words that equal the text's words from `begin`, until the first difference."""
    text, result = index.words, []
    if position and text[position - 1 : position] not in _SEPARATORS:
        return []  # the positions of an altered index
    for word in words[begin:]:
        end = position + len(word)
        separator = text[end : end + 1]
        if text[position:end] != word or separator not in _SEPARATORS:
            break
        result.append(position)
        if separator == b"\n":
            break  # the document ends
        position = end + 1
    return result
