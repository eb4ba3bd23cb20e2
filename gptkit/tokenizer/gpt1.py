"""GPT-1's BPE: merges of characters within lower-case words, trained with the tokenizers library.

Source: "Improving Language Understanding by Generative Pre-Training", section 4.1, and its released code, `text_utils.py`. The
last symbol of a word ends in `</w>`. Id 0 is the unknown symbol, and the last id of the official vocabulary is a line break. The
official vocabulary has no special tokens; end-of-text is added after it.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from gptkit.errors import CheckpointError, DataError
from gptkit.tokenizer import tokenizer_file
from gptkit.tokenizer.base import END_OF_TEXT, fingerprint_of, utf8
from gptkit.tokenizer.bpe import CACHED_WORDS, MERGES, VOCABULARY, read_merges, read_vocabulary
from gptkit.tokenizer.bpe_training import train_merges
from gptkit.tokenizer.gpt1_cleaning import (
    NEWLINE,
    PUNCTUATION_RUNS,
    PUNCTUATION_RUNS_WITH_BACKSLASH,
    WordSplitter,
    fix_encoding,
    last_split_point,
    split_pieces,
)
from gptkit.tokenizer.tokenizers_library import LibraryTokenizer

FILE, RULES = "gpt1.json", "words.msgpack"
UNKNOWN, SUFFIX, LINE_BREAK = "<unk>", "</w>", "\n</w>"

CHARACTERS = 238
"""Number of characters in the official vocabulary. A trained one keeps as many of the most frequent; the others are unknown."""

# decoded text has no space after opening words, and none before closing words
_OPENING = frozenset(f"{word}</w>" for word in "([{")
_CLOSING = frozenset(f"{word}</w>" for word in [*".,!?;:)]}", "...", "n't", "'s", "'m", "'re", "'ve", "'ll", "'d"])


class GPT1Tokenizer(LibraryTokenizer):
    """Base class of GPT-1's tokenizers. A subclass implements the splitting of text into words."""

    cleaning: ClassVar[str]
    """The value of `tokenizer.cleaning` that selects the class."""

    form: ClassVar[str]
    """The name of the class in saved files. It must not change."""

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]], *rules: str) -> None:
        """Args:
            vocabulary: entries and their ids. End-of-text is added if it is missing.
            merges: pairs of entries, in the order in which they were learnt.
            rules: other data that determines the ids, for the fingerprint.

        Raises:
            DataError: the ids are not 0 to n - 1, <unk> or the line break has no entry, or the result of a merge has no entry.
        """
        vocabulary = {**vocabulary}
        vocabulary.setdefault(END_OF_TEXT, len(vocabulary))
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise DataError(f"the vocabulary's {len(vocabulary)} ids are not the numbers 0 to {len(vocabulary) - 1}")
        missing = [entry for entry in (UNKNOWN, LINE_BREAK) if entry not in vocabulary]
        if missing:
            raise DataError(f"the vocabulary has no entry {missing[0]!r}: it is not a BPE like GPT-1's")
        try:
            model = models.BPE(vocabulary, merges, cache_capacity=CACHED_WORDS, unk_token=UNKNOWN, end_of_word_suffix=SUFFIX)
        except Exception as error:  # the library raises no more specific type
            raise DataError(f"the merges do not fit the vocabulary: {error}") from None
        self.library = Tokenizer(model)
        self.set_word_splitting(self.library)
        self.vocabulary, self.merges = vocabulary, merges
        self.size = len(vocabulary)
        self.special = {"end_of_text": vocabulary[END_OF_TEXT]}
        self._entries = sorted(vocabulary, key=vocabulary.__getitem__)
        lines = "\n".join(map(" ".join, merges))
        self.fingerprint = fingerprint_of("gpt1", self.form, "\n".join(self._entries), lines, *rules)

    @classmethod
    @abstractmethod
    def set_word_splitting(cls, library: Tokenizer) -> None:
        """Configure how the library splits its input into words."""

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> GPT1Tokenizer:
        """Train a tokenizer with up to `size` ids.

        The ids are: unknown symbol, characters, characters at the end of a word, merges, line break, end-of-text.

        Raises:
            DataError: the texts contain no word, or half of a surrogate pair.
        """
        library = Tokenizer(models.BPE(unk_token=UNKNOWN, end_of_word_suffix=SUFFIX))
        cls.set_word_splitting(library)
        trainer = trainers.BpeTrainer(
            vocab_size=size - 2,
            min_frequency=2,
            special_tokens=[UNKNOWN],
            limit_alphabet=CHARACTERS,
            end_of_word_suffix=SUFFIX,
            show_progress=False,
        )
        train_merges(library, (text for text in texts if utf8(text)), trainer)
        vocabulary = library.get_vocab(with_added_tokens=False)
        if len(vocabulary) < 2:
            raise DataError("tokenizer=gpt1 has no words to train on; check data.path")
        vocabulary[LINE_BREAK] = len(vocabulary)
        return cls(vocabulary, [(left, right) for left, right in json.loads(library.to_str())["model"]["merges"]])

    def decode(self, ids: Sequence[int]) -> str:
        """Return words separated by spaces, without a space before closing punctuation. Cleaning is not reversible."""
        return "".join(_decode_entries([self._entries[token] for token in ids]))

    def save(self, folder: Path) -> None:
        (folder / VOCABULARY).write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *map(" ".join, self.merges), ""]
        (folder / MERGES).write_text("\n".join(lines), encoding="utf-8")
        tokenizer_file.write(folder / FILE, {"cleaning": self.form, "fingerprint": self.fingerprint})


class TransformersGPT1Tokenizer(GPT1Tokenizer):
    """Lower case, no accents, and BERT's word splitting, as in transformers 5, and in older versions without ftfy and spaCy."""

    cleaning = form = "transformers"

    @classmethod
    def set_word_splitting(cls, library: Tokenizer) -> None:
        library.normalizer = normalizers.BertNormalizer(lowercase=True)
        library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def split_point(self, text: str) -> int:
        return max(text.rfind(" "), text.rfind("\n")) + 1


class ReleasedGPT1Tokenizer(GPT1Tokenizer):
    """The cleaning of the released code, with line breaks. The ids of pieces of text are cached."""

    cleaning, form = "openai", "released"
    punctuation: ClassVar[re.Pattern[str]] = PUNCTUATION_RUNS

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]], words: WordSplitter | None = None) -> None:
        """See `GPT1Tokenizer`.

        Args:
            vocabulary: entries and their ids.
            merges: pairs of entries, in the order in which they were learnt.
            words: splits pieces by the rules of a checkpoint; by default by those of the installed spaCy.

        Raises:
            ConfigError: spaCy or ftfy is not installed.
        """
        self.words = words or WordSplitter()
        super().__init__(vocabulary, merges, self.words.rules.hex())
        self._ids_of = _PieceCache(self)

    @classmethod
    def set_word_splitting(cls, library: Tokenizer) -> None:
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> GPT1Tokenizer:
        words = WordSplitter()

        def cleaned_texts() -> Iterator[str]:
            for text in texts:
                utf8(text)
                yield " ".join(word for piece in split_pieces(fix_encoding(text), cls.punctuation) for word in words.split(piece))

        return super().train(cleaned_texts(), size=size)

    def encode(self, text: str) -> list[int]:
        utf8(text)
        return list(chain.from_iterable(map(self._ids_of.__getitem__, split_pieces(fix_encoding(text), self.punctuation))))

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        return [np.frombuffer(array("I", self.encode(text)), dtype=np.uint32) for text in texts]

    def split_point(self, text: str) -> int:
        return last_split_point(text, self.punctuation)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / RULES).write_bytes(self.words.rules)


class BackslashGPT1Tokenizer(ReleasedGPT1Tokenizer):
    """As released, but a backslash is also separated from words. Tokenizers that were saved as `openai` do this."""

    form = "openai"
    punctuation = PUNCTUATION_RUNS_WITH_BACKSLASH


class _PieceCache(dict[str, list[int]]):
    """The ids of pieces of cleaned text. New pieces are split and encoded at the first lookup."""

    MAX_PIECES, MAX_LENGTH = 1 << 20, 64  # cached pieces, and characters of a piece: at most about 300 MB

    def __init__(self, tokenizer: ReleasedGPT1Tokenizer) -> None:
        super().__init__({NEWLINE: [tokenizer.vocabulary[LINE_BREAK]]})
        self._tokenizer = tokenizer

    def __missing__(self, piece: str) -> list[int]:
        words = self._tokenizer.words.split(piece)
        ids: list[int] = self._tokenizer.library.encode(words, is_pretokenized=True, add_special_tokens=False).ids
        if len(self) < self.MAX_PIECES and len(piece) <= self.MAX_LENGTH:
            self[piece] = ids
        return ids


CLEANINGS: dict[str, type[GPT1Tokenizer]] = {each.cleaning: each for each in (ReleasedGPT1Tokenizer, TransformersGPT1Tokenizer)}
"""The classes by value of `tokenizer.cleaning`."""

SAVED_FORMS: dict[str, type[GPT1Tokenizer]] = {
    each.form: each for each in (ReleasedGPT1Tokenizer, BackslashGPT1Tokenizer, TransformersGPT1Tokenizer)
}
"""The classes by their name in saved files."""


def load(folder: Path) -> GPT1Tokenizer:
    """Load a tokenizer that `GPT1Tokenizer.save` saved.

    Raises:
        CheckpointError: a file is missing, incomplete or altered.
        ConfigError: spaCy or ftfy is not installed.
    """
    form, fingerprint = tokenizer_file.read(folder / FILE, "cleaning", "fingerprint")
    try:
        entries = read_vocabulary(folder / VOCABULARY), read_merges(folder / MERGES)
        tokenizer_class = SAVED_FORMS[form]
        if issubclass(tokenizer_class, ReleasedGPT1Tokenizer):
            tokenizer: GPT1Tokenizer = tokenizer_class(*entries, WordSplitter((folder / RULES).read_bytes()))
        else:
            tokenizer = tokenizer_class(*entries)
    except (DataError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} contains no valid tokenizer ({error}); use another checkpoint") from None
    tokenizer_file.check_fingerprint(folder, saved=fingerprint, actual=tokenizer.fingerprint)
    return tokenizer


def _decode_entries(entries: Iterable[str]) -> Iterator[str]:
    """Yield the text of each entry, after a space if one separates it from the previous entry.

    The text depends only on the entry and the previous one, so text that is streamed token by token never has to be revised.
    """
    needs_space = False
    for entry in entries:
        if needs_space and entry not in _CLOSING and entry not in (LINE_BREAK, END_OF_TEXT):
            yield " "
        yield entry.removesuffix(SUFFIX)
        needs_space = entry == UNKNOWN or (entry.endswith(SUFFIX) and entry != LINE_BREAK and entry not in _OPENING)
