"""The base class of tokenizers. It does not import torch, which tokenisation does not need."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import DataError

END_OF_TEXT = "<|endoftext|>"
"""The text to which the special token with the role `end_of_text` is decoded."""


class Tokenizer(ABC):
    """Converts text to ids below `size`, and back. Special tokens are identified by role, never by their text."""

    size: int
    """Number of ids, special tokens included."""

    special: dict[str, int]
    """Ids of special tokens by role. `end_of_text` is always included."""

    fingerprint: str
    """SHA-256 (hexadecimal) of everything that determines the ids. Tokenizers with equal fingerprints produce equal ids."""

    chat_template: str = ""
    """The chat template in Jinja2 that the tokenizer's files contain; empty if they contain none."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text. The name of a special token within the text is encoded as ordinary text."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, with the names of special tokens, and U+FFFD for bytes that are not UTF-8."""

    @abstractmethod
    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """Encode many texts, on all cores if the tokenizer supports it."""

    def split_point(self, text: str) -> int:
        """Return the last position at which `text` may be split, 0 if there is none.

        The ids of the two parts, concatenated, must equal those of the whole, for any text that follows. Long documents are split
        at these positions to be encoded in chunks. By default, they are encoded as a whole.
        """
        return 0

    def special_tokens(self) -> Mapping[str, int]:
        """Return the ids of special tokens by name, for chat templates. Default: end-of-text."""
        return {END_OF_TEXT: self.special["end_of_text"]}

    def named_tokens(self) -> Mapping[str, str]:
        """Return names of special tokens by role, as chat templates call them: `bos_token`, `eos_token`."""
        return {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Save the tokenizer to an existing, empty folder, from which `TokenizerConfig.load` loads it."""


def fingerprint_of(*parts: str) -> str:
    """Return the SHA-256 (hexadecimal) of texts and the boundaries between them."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def utf8(text: str) -> bytes:
    """Encode a text as UTF-8.

    Raises:
        DataError: the text contains a lone surrogate, which UTF-8 cannot encode.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"character U+{ord(text[error.start]):04X} at position {error.start} of the text is half of a surrogate pair, "
            "which is not a character; remove it"
        ) from None
