"""What every tokenizer is once built. No torch here: tokenising needs none."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import DataError

END_OF_TEXT = "<|endoftext|>"
"""How the special token of the role `end_of_text` is spelt when it is decoded."""


class Tokenizer(ABC):
    """Text to ids below `size`, and back. Special tokens are known by role, never by spelling."""

    size: int
    """Number of ids, special tokens included."""

    special: dict[str, int]
    """Special tokens by role; `end_of_text` is always there."""

    fingerprint: str
    """SHA-256 (hexadecimal) of everything that decides the ids; equal fingerprints give equal ids for every text."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of the text. The spelling of a special token in the text is ordinary text."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids; special tokens give their spelling, bytes that are no UTF-8 give the replacement character."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """`encode` of many texts, on all cores where the tokenizer can."""

    def split_point(self, text: str) -> int:
        """The last position where `text` may be cut: the ids of the two pieces, joined, are those of the whole, whatever follows.

        0: nowhere. Long documents are encoded piece by piece along these cuts; a tokenizer that does not say gets them whole.
        """
        return 0

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `Tokenizer.load` needs into an existing, empty folder."""


def fingerprint_of(*parts: str) -> str:
    """SHA-256 (hexadecimal) of texts, their boundaries included."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def utf8(text: str) -> bytes:
    """The text as UTF-8.

    Raises:
        DataError: the text holds a lone surrogate, which no UTF-8 text can.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"character U+{ord(text[error.start]):04X} at position {error.start} of the text is half of a surrogate pair, "
            "which is no character of its own; remove it"
        ) from None
