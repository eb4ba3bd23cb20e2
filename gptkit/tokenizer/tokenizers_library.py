"""What every tokenizer shares that the tokenizers library runs."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import tokenizers
from numpy.typing import NDArray

from gptkit.tokenizer.base import Tokenizer, utf8


class LibraryTokenizer(Tokenizer):
    """A subclass sets `library`, which must take special tokens that a text spells for text, and adds the rest of the interface."""

    library: tokenizers.Tokenizer

    def encode(self, text: str) -> list[int]:
        utf8(text)  # refuses half of a surrogate pair with an error of its own
        return self.library.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def decode(self, ids: Sequence[int]) -> str:
        return self.library.decode(list(ids), skip_special_tokens=False)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        encodings = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        # an array of the list that the library gives is the fastest way from it to numpy
        return [np.frombuffer(array("I", encoding.ids), dtype=np.uint32) for encoding in encodings]
