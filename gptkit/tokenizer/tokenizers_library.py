"""Base class of tokenizers that use the tokenizers library."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray

from gptkit.tokenizer.base import Tokenizer, utf8


class LibraryTokenizer(Tokenizer):
    """Encodes with `library`, which a subclass sets. It must encode the names of special tokens within a text as ordinary text."""

    library: tokenizers.Tokenizer

    def encode(self, text: str) -> list[int]:
        utf8(text)  # raises a clear error for half of a surrogate pair
        return self.library.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def decode(self, ids: Sequence[int]) -> str:
        return self.library.decode(list(ids), skip_special_tokens=False)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        try:
            encodings = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:
            for text in texts:
                utf8(text)  # raises a clear error for half of a surrogate pair
            raise
        # going through an array is the fastest conversion of the lists of the library to numpy
        return [np.frombuffer(array("I", encoding.ids), dtype=np.uint32) for encoding in encodings]
