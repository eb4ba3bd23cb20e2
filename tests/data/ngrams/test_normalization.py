"""Words are compared in lower case and without punctuation."""

from __future__ import annotations

import pytest

from gptkit.data.ngrams.normalization import normalized_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("it's  a\twell-known\nfact - $5", ["its", "a", "wellknown", "fact", "5"]),
        ("“Quoted” — Zitat… É", ["quoted", "zitat", "é"]),
        ("ΟΔΟΣ ΣΑΣ.", ["οδος", "σας"]),
        ("語。a　b", ["語a", "b"]),
        ("...", []),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert normalized_words(text) == words
