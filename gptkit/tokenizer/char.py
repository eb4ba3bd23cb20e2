"""The tokenizer `char`: one id per character of the training text in the order of code points, then end-of-text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import DataError
from gptkit.tokenizer import tokenizer_file
from gptkit.tokenizer.base import END_OF_TEXT, Tokenizer, fingerprint_of, utf8

FILE = "characters.json"


class CharTokenizer(Tokenizer):
    """Encodes text that consists of the given characters. Other characters are errors."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.size = len(characters) + 1
        self.special = {"end_of_text": len(characters)}
        self.fingerprint = fingerprint_of("char", characters)
        self._ids = {character: index for index, character in enumerate(characters)}
        points = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)
        # the id of every code point up to the highest known one, and one more entry for all unknown code points
        self._table = np.full(int(points.max(initial=0)) + 2, self.size, dtype=np.uint32)
        self._table[points] = np.arange(len(points), dtype=np.uint32)

    @classmethod
    def train(cls, texts: Iterable[str]) -> CharTokenizer:
        """Build a tokenizer of all characters that occur in `texts`.

        Raises:
            DataError: the texts are empty, or contain half of a surrogate pair.
        """
        unique: set[str] = set()
        for text in texts:
            unique.update(text)
        characters = "".join(sorted(unique))
        if not characters:
            raise DataError("tokenizer=char has no text to train on; check data.path")
        utf8(characters)
        return cls(characters)

    def encode(self, text: str) -> list[int]:
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            raise self._unknown_character_error(text) from None

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(END_OF_TEXT if token == self.size - 1 else self.characters[token] for token in ids)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        return [self._look_up(text) for text in texts]

    def _look_up(self, text: str) -> NDArray[np.uint32]:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        ids: NDArray[np.uint32] = self._table[np.minimum(points, len(self._table) - 1)]
        if ids.max(initial=0) >= self.size:
            raise self._unknown_character_error(text)
        return ids

    def _unknown_character_error(self, text: str) -> DataError:
        position, character = next((index, each) for index, each in enumerate(text) if each not in self._ids)
        return DataError(
            f"character {character!r} (U+{ord(character):04X}) at position {position} of the text is not one of the "
            f"{len(self.characters)} characters of this tokenizer; remove it, or train with tokenizer=bytes or bpe"
        )

    def split_point(self, text: str) -> int:
        return len(text)

    def save(self, folder: Path) -> None:
        tokenizer_file.write(folder / FILE, {"characters": self.characters, "fingerprint": self.fingerprint})

    @classmethod
    def load(cls, folder: Path) -> CharTokenizer:
        """Load a tokenizer that `save` saved.

        Raises:
            CheckpointError: the file is missing, incomplete or altered.
        """
        characters, fingerprint = tokenizer_file.read(folder / FILE, "characters", "fingerprint")
        tokenizer_file.check_fingerprint(folder / FILE, saved=fingerprint, actual=fingerprint_of("char", str(characters)))
        return cls(characters)
