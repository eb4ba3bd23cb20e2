"""GPT-1's BPE: merges of characters within lower-case words, whose last symbol carries `</w>`; the tokenizers library learns them.

Source: "Improving Language Understanding by Generative Pre-Training", section 4.1, and its released code, `text_utils.py`. Id 0 is
the unknown symbol, the last id of the official vocabulary a line break. That vocabulary has no special tokens: end-of-text is added
behind it.
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
"""Characters that the official vocabulary has; a learnt one has as many, the most frequent ones, and the rest is unknown."""

# words beside which there is no space: behind the first kind, before the second
_OPENING = frozenset(f"{word}</w>" for word in "([{")
_CLOSING = frozenset(f"{word}</w>" for word in [*".,!?;:)]}", "...", "n't", "'s", "'m", "'re", "'ve", "'ll", "'d"])


class GPT1Tokenizer(LibraryTokenizer):
    """Ids of a vocabulary of symbols; a subclass says how text becomes words."""

    cleaning: ClassVar[str]
    """The value of `tokenizer.cleaning` that means it."""

    form: ClassVar[str]
    """The name under which it is saved: what was saved stays what it was."""

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]], *rules: str) -> None:
        """The tokenizer of these entries and merges, the first learnt first; end-of-text is added where it is missing.

        Args:
            rules: what else decides the ids.

        Raises:
            DataError: ids are not 0 to n - 1, <unk> or the line break has no entry, or a merge gives no entry.
        """
        vocabulary = {**vocabulary}
        vocabulary.setdefault(END_OF_TEXT, len(vocabulary))
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise DataError(f"the vocabulary's {len(vocabulary)} ids are not the numbers 0 to {len(vocabulary) - 1}")
        missing = [entry for entry in (UNKNOWN, LINE_BREAK) if entry not in vocabulary]
        if missing:
            raise DataError(f"the vocabulary has no entry {missing[0]!r}: it is no BPE of GPT-1's kind")
        try:
            model = models.BPE(vocabulary, merges, cache_capacity=CACHED_WORDS, unk_token=UNKNOWN, end_of_word_suffix=SUFFIX)
        except Exception as error:  # the library raises nothing more precise
            raise DataError(f"the merges do not fit the vocabulary: {error}") from None
        self.library = Tokenizer(model)
        self.split_with(self.library)
        self.vocabulary, self.merges = vocabulary, merges
        self.size = len(vocabulary)
        self.special = {"end_of_text": vocabulary[END_OF_TEXT]}
        self._entries = sorted(vocabulary, key=vocabulary.__getitem__)
        lines = "\n".join(map(" ".join, merges))
        self.fingerprint = fingerprint_of("gpt1", self.form, "\n".join(self._entries), lines, *rules)

    @classmethod
    @abstractmethod
    def split_with(cls, library: Tokenizer) -> None:
        """Set how the library splits what it is given into words."""

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> GPT1Tokenizer:
        """Learn merges from `texts` until there are `size` ids, or none is left to learn.

        Ids: unknown symbol, characters, characters that end a word, merges, line break, end-of-text.

        Raises:
            DataError: the texts hold no word, or half of a surrogate pair.
        """
        library = Tokenizer(models.BPE(unk_token=UNKNOWN, end_of_word_suffix=SUFFIX))
        cls.split_with(library)
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
            raise DataError("tokenizer=gpt1 found no words to learn from; check data.path")
        vocabulary[LINE_BREAK] = len(vocabulary)
        return cls(vocabulary, [(left, right) for left, right in json.loads(library.to_str())["model"]["merges"]])

    def decode(self, ids: Sequence[int]) -> str:
        """Words with a space between them, none before a full stop and its like: what was cleaned away does not come back."""
        return "".join(_spell([self._entries[token] for token in ids]))

    def save(self, folder: Path) -> None:
        (folder / VOCABULARY).write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *map(" ".join, self.merges), ""]
        (folder / MERGES).write_text("\n".join(lines), encoding="utf-8")
        tokenizer_file.write(folder / FILE, {"cleaning": self.form, "fingerprint": self.fingerprint})


class TransformersGPT1Tokenizer(GPT1Tokenizer):
    """Lower case, no accents, and BERT's words: what transformers from version 5 on does, and older ones without ftfy and spaCy."""

    cleaning = form = "transformers"

    @classmethod
    def split_with(cls, library: Tokenizer) -> None:
        library.normalizer = normalizers.BertNormalizer(lowercase=True)
        library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def split_point(self, text: str) -> int:
        return max(text.rfind(" "), text.rfind("\n")) + 1


class ReleasedGPT1Tokenizer(GPT1Tokenizer):
    """The cleaning of the released code, with line breaks. Ids are looked up by piece; the library encodes new pieces alone."""

    cleaning, form = "openai", "released"
    signs: ClassVar[re.Pattern[str]] = PUNCTUATION_RUNS

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]], words: WordSplitter | None = None) -> None:
        """See GPT1Tokenizer; `words` are the rules that a checkpoint kept, else those of the installed spaCy.

        Raises:
            ConfigError: spaCy or ftfy is not installed.
        """
        self.words = words or WordSplitter()
        super().__init__(vocabulary, merges, self.words.rules.hex())
        self._ids_of = _PieceCache(self)

    @classmethod
    def split_with(cls, library: Tokenizer) -> None:
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> GPT1Tokenizer:
        words = WordSplitter()

        def split() -> Iterator[str]:
            for text in texts:
                utf8(text)
                yield " ".join(word for piece in split_pieces(fix_encoding(text), cls.signs) for word in words.split(piece))

        return super().train(split(), size=size)

    def encode(self, text: str) -> list[int]:
        utf8(text)
        return list(chain.from_iterable(map(self._ids_of.__getitem__, split_pieces(fix_encoding(text), self.signs))))

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        return [np.frombuffer(array("I", self.encode(text)), dtype=np.uint32) for text in texts]

    def split_point(self, text: str) -> int:
        return last_split_point(text, self.signs)

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / RULES).write_bytes(self.words.rules)


class BackslashGPT1Tokenizer(ReleasedGPT1Tokenizer):
    """As released, but that a backslash stands apart as other signs do: what tokenizers did that the kit saved as `openai`."""

    form = "openai"
    signs = PUNCTUATION_RUNS_WITH_BACKSLASH


class _PieceCache(dict[str, list[int]]):
    """Ids by piece of cleaned text; pieces that are new are split and encoded when they are asked for."""

    MOST, LONGEST = 1 << 20, 64  # pieces, and characters of one, that are remembered: some 300 MB at the very most

    def __init__(self, tokenizer: ReleasedGPT1Tokenizer) -> None:
        super().__init__({NEWLINE: [tokenizer.vocabulary[LINE_BREAK]]})
        self._tokenizer = tokenizer

    def __missing__(self, piece: str) -> list[int]:
        words = self._tokenizer.words.split(piece)
        ids: list[int] = self._tokenizer.library.encode(words, is_pretokenized=True, add_special_tokens=False).ids
        if len(self) < self.MOST and len(piece) <= self.LONGEST:
            self[piece] = ids
        return ids


CLEANINGS: dict[str, type[GPT1Tokenizer]] = {each.cleaning: each for each in (ReleasedGPT1Tokenizer, TransformersGPT1Tokenizer)}
"""By the values of `tokenizer.cleaning`."""

SAVED_FORMS: dict[str, type[GPT1Tokenizer]] = {
    each.form: each for each in (ReleasedGPT1Tokenizer, BackslashGPT1Tokenizer, TransformersGPT1Tokenizer)
}
"""By the names under which they are saved."""


def load(folder: Path) -> GPT1Tokenizer:
    """Read back what `GPT1Tokenizer.save` wrote.

    Raises:
        CheckpointError: a file is missing, torn or altered.
        ConfigError: spaCy or ftfy is not installed.
    """
    form, fingerprint = tokenizer_file.read(folder / FILE, "cleaning", "fingerprint")
    try:
        entries = read_vocabulary(folder / VOCABULARY), read_merges(folder / MERGES)
        kind = SAVED_FORMS[form]
        if issubclass(kind, ReleasedGPT1Tokenizer):
            tokenizer: GPT1Tokenizer = kind(*entries, WordSplitter((folder / RULES).read_bytes()))
        else:
            tokenizer = kind(*entries)
    except (DataError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} holds no tokenizer that can be used ({error}); use another checkpoint") from None
    tokenizer_file.check_fingerprint(folder, saved=fingerprint, found=tokenizer.fingerprint)
    return tokenizer


def _spell(entries: Iterable[str]) -> Iterator[str]:
    """The text of each entry, and before it a space where one stands between it and the one before.

    It depends on that entry and the one before alone, so text that is written as tokens come is never taken back.
    """
    space = False
    for entry in entries:
        if space and entry not in _CLOSING and entry not in (LINE_BREAK, END_OF_TEXT):
            yield " "
        yield entry.removesuffix(SUFFIX)
        space = entry == UNKNOWN or (entry.endswith(SUFFIX) and entry != LINE_BREAK and entry not in _OPENING)
