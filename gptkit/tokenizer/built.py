"""What every tokenizer is once built. No torch here: tokenising needs none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class BuiltTokenizer(ABC):
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

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `Tokenizer.load` needs into an existing, empty folder."""
