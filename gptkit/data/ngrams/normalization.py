"""Normalisation of text to words, as GPT-3 does it to compare texts: lower case, no punctuation, split at white space.

Source: "Language Models are Few-Shot Learners", appendix C.
"""

from __future__ import annotations

import functools
import sys
import unicodedata


def normalized_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation and symbols. A word of punctuation alone is dropped."""
    lower = text.lower()
    return lower.translate(_ascii_punctuation() if lower.isascii() else _punctuation()).split()


@functools.cache
def _punctuation() -> dict[int, None]:
    """Return the characters to remove: the Unicode categories P (punctuation) and S (symbols), which include all of ASCII's."""
    return {code: None for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] in "PS"}


@functools.cache
def _ascii_punctuation() -> dict[int, None]:
    return {code: None for code in _punctuation() if code < 128}
