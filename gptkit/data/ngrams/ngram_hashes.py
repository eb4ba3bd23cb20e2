"""64-bit hashes of words and of word N-grams. They are the same on every machine and in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64
CACHED_WORDS = 1 << 20
"""Words whose hashes are kept in memory."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: odd, with evenly mixed bits


class WordHasher:
    """Hashes words, and keeps the hashes of the words that it has seen, up to `CACHED_WORDS`."""

    def __init__(self) -> None:
        self._cache = _HashCache()

    def __call__(self, words: Sequence[str]) -> NDArray[np.uint64]:
        """Return the hashes of words: (words,)."""
        if len(self._cache) > CACHED_WORDS:
            self._cache.clear()
        return np.fromiter(map(self._cache.__getitem__, words), dtype=np.uint64, count=len(words))


class _HashCache(dict[str, int]):
    def __missing__(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = result = int.from_bytes(digest, "little")
        return result


def ngram_hashes(words: NDArray[np.uint64], n: int, *, bits: int = HASH_BITS) -> NDArray[np.uint64]:
    """Return the hash of every N-gram of a sequence of words: (words,) -> (words - n + 1,), or (0,) if there are fewer words.

    Args:
        words: the hashes of the words.
        n: words of an N-gram.
        bits: bits of a hash; fewer than 64 only to test that collisions do no harm.
    """
    count = max(0, len(words) - n + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(n):
        hashes = hashes * _MULTIPLIER + words[offset : offset + count]
    hashes ^= hashes >> np.uint64(32)  # a polynomial's low bits depend on the low bits of the words alone
    hashes *= _MULTIPLIER
    hashes ^= hashes >> np.uint64(29)
    return hashes >> np.uint64(HASH_BITS - bits)
