"""A set of N-grams, and the places where they occur in a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from gptkit.data.ngrams.ngram_hashes import WordHasher, ngram_hashes
from gptkit.data.ngrams.normalization import normalized_words

_TOKEN = re.compile(r"\S+")


class NgramSet:
    """The N-grams of some texts, as sequences of normalised words. Hashes only find candidates, which are then compared."""

    def __init__(self, texts: Iterable[str], n: int) -> None:
        """
        Args:
            texts: the texts; those of fewer than `n` words have no N-gram.
            n: words of an N-gram.
        """
        self.n = n
        self._hash_words = WordHasher()
        self._ngrams = {ngram for text in texts for ngram in _ngrams(normalized_words(text), n)}
        self._index()

    def _index(self) -> None:
        hashes = [ngram_hashes(self._hash_words(ngram.split(" ")), self.n) for ngram in self._ngrams]
        self._hashes = np.unique(np.concatenate(hashes)) if hashes else np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self._ngrams)

    def matches(self, words: Sequence[str]) -> list[int]:
        """Return the positions of normalised words at which an N-gram of the set begins, in ascending order."""
        if not len(self._hashes):
            return []
        hashes = ngram_hashes(self._hash_words(words), self.n)
        places = np.minimum(self._hashes.searchsorted(hashes), len(self._hashes) - 1)
        candidates: NDArray[np.intp] = np.flatnonzero(self._hashes[places] == hashes)
        return [place for place in candidates.tolist() if " ".join(words[place : place + self.n]) in self._ngrams]

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return the half-open ranges of the characters of all N-grams of the set in a text, in ascending order."""
        words, spans = _words_and_spans(text)
        return [(spans[place][0], spans[place + self.n - 1][1]) for place in self.matches(words)]

    def remove_common(self, documents: Iterable[str], limit: int) -> int:
        """Remove the N-grams that occur in more than `limit` documents, and return their number."""
        counts: Counter[str] = Counter()
        for document in documents:
            words = normalized_words(document)
            counts.update({" ".join(words[place : place + self.n]) for place in self.matches(words)})
        common = {ngram for ngram, count in counts.items() if count > limit}
        if common:
            self._ngrams -= common
            self._index()
        return len(common)


def _ngrams(words: Sequence[str], n: int) -> Iterable[str]:
    return (" ".join(words[place : place + n]) for place in range(len(words) - n + 1))


def _words_and_spans(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the normalised words of a text, and the half-open ranges of their characters, punctuation included."""
    tokens = [match.span() for match in _TOKEN.finditer(text)]
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for (begin, end), normalized in zip(tokens, map(normalized_words, (text[a:b] for a, b in tokens)), strict=True):
        words += normalized
        spans += repeat((begin, end), len(normalized))
    return words, spans
