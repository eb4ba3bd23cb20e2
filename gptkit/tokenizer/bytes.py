"""The tokenizer `bytes`: ids 0 to 255 are the bytes of UTF-8, id 256 is end-of-text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptkit.tokenizer import tokenizer_file
from gptkit.tokenizer.base import END_OF_TEXT, Tokenizer, fingerprint_of, utf8

FILE = "bytes.json"


class BytesTokenizer(Tokenizer):
    """Encodes text as its UTF-8 bytes. It needs no training."""

    def __init__(self) -> None:
        self.size = 257
        self.special = {"end_of_text": 256}
        self.fingerprint = fingerprint_of("bytes")

    def encode(self, text: str) -> list[int]:
        return list(utf8(text))

    def decode(self, ids: Sequence[int]) -> str:
        texts, begin, ids = [], 0, list(ids)
        for end in [index for index, token in enumerate(ids) if token == 256]:
            texts += [bytes(ids[begin:end]).decode("utf-8", "replace"), END_OF_TEXT]
            begin = end + 1
        texts.append(bytes(ids[begin:]).decode("utf-8", "replace"))
        return "".join(texts)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        return [np.frombuffer(utf8(text), dtype=np.uint8).astype(np.uint32) for text in texts]

    def split_point(self, text: str) -> int:
        return len(text)

    def save(self, folder: Path) -> None:
        tokenizer_file.write(folder / FILE, {"fingerprint": self.fingerprint})

    @classmethod
    def load(cls, folder: Path) -> BytesTokenizer:
        """Load a tokenizer that `save` saved.

        Raises:
            CheckpointError: the file is missing or altered.
        """
        tokenizer = cls()
        (fingerprint,) = tokenizer_file.read(folder / FILE, "fingerprint")
        tokenizer_file.check_fingerprint(folder / FILE, saved=fingerprint, actual=tokenizer.fingerprint)
        return tokenizer
