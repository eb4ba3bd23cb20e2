"""A small corpus for tests of the index, and a slow, obvious version of the lookup."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from gptkit.contamination.training_documents import DocumentPart


def random_documents(seed: int, *, documents: int = 40, vocabulary: int = 12, longest: int = 60) -> list[str]:
    """Return documents of few different words, so that they share N-grams by chance, with punctuation and capitals."""
    generator = np.random.default_rng(seed)
    words = ["Ärger,", "ΣΑΣ.", "it's", "--", "The", "cat", "sat;", "on", "a", "mat!", "don't", "run"][:vocabulary]
    return [" ".join(generator.choice(words, size=generator.integers(0, longest))) for _ in range(documents)]


def as_parts(documents: Sequence[str], *, size: int = 1 << 30) -> Iterator[DocumentPart]:
    """Yield the documents in parts of `size` characters."""
    for number, text in enumerate(documents):
        pieces = [text[begin : begin + size] for begin in range(0, len(text), size)] or [""]
        for piece, is_last in zip(pieces, [False] * (len(pieces) - 1) + [True], strict=True):
            yield DocumentPart(0, number, (-1, -1), piece, is_last, None)


@cache
def slow_words(text: str) -> list[str]:
    words = ("".join(each for each in word if each not in string.punctuation) for word in text.lower().split())
    return [word for word in words if word]


@cache
def slow_ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    words = slow_words(text)
    return [tuple(words[begin : begin + n]) for begin in range(len(words) - n + 1)]


def slow_longest_match(text: str, documents: Sequence[str], n: int) -> int:
    """Return the number of words of the longest span, of at least n words, that the text shares with one document."""
    length = n
    while any(set(slow_ngrams(text, length)) & set(slow_ngrams(document, length)) for document in documents):
        length += 1
    return length - 1 if length > n else 0
