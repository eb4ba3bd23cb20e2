"""Byte-level BPE, trained on text (`bpe`) or read from the files of GPT-2 (`gpt2`), with the tokenizers library.

Source: "Language Models are Unsupervised Multitask Learners", section 2.2: merges of bytes do not cross the boundaries between
letters, digits, other characters and white space, except for one space before a word.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from gptkit.errors import CheckpointError, DataError
from gptkit.tokenizer import tokenizer_file
from gptkit.tokenizer.base import END_OF_TEXT, fingerprint_of, utf8
from gptkit.tokenizer.bpe_training import train_merges
from gptkit.tokenizer.tokenizers_library import LibraryTokenizer
from gptkit.user_files import open_user_file, read_json_file

VOCABULARY, MERGES, FILE = "vocab.json", "merges.txt", "bpe.json"

CACHED_WORDS = 1 << 16
"""Number of words whose ids the library caches: six times its default, enough for most repeated words of a large corpus."""

# Matched against the reversed text: positions at which a word starts in any context. These are white space after another
# character, and a full-width punctuation mark after kana or an ideograph. White space after white space does not qualify: the
# split of a run of white space depends on what follows it.
_WORD_BEGINS = re.compile(r"[ \n](?=\S)|[、。，！？；：](?=[ぁ-ゖァ-ヺ一-龥])")  # noqa: RUF001


class BPETokenizer(LibraryTokenizer):
    """A byte-level BPE. The end-of-text token is an entry of the vocabulary that no text is encoded to."""

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
        """Args:
            vocabulary: entries, in GPT-2's printable alphabet of bytes, and their ids.
            merges: pairs of entries, in the order in which they were learnt.

        Raises:
            DataError: the ids are not 0 to n - 1, a byte or end-of-text has no entry, or the result of a merge has no entry.
        """
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise DataError(f"the vocabulary's {len(vocabulary)} ids are not the numbers 0 to {len(vocabulary) - 1}")
        missing = [entry for entry in (END_OF_TEXT, *sorted(pre_tokenizers.ByteLevel.alphabet())) if entry not in vocabulary]
        if missing:
            raise DataError(f"the vocabulary has no entry {missing[0]}: it is not a byte-level BPE like GPT-2's")
        try:
            self.library = Tokenizer(models.BPE(vocabulary, merges, cache_capacity=CACHED_WORDS))
        except Exception as error:  # the library raises no more specific type
            raise DataError(f"the merges do not fit the vocabulary: {error}") from None
        self.library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        self.library.decoder = decoders.ByteLevel()
        self.vocabulary, self.merges = vocabulary, merges
        self.size = len(vocabulary)
        self.special = {"end_of_text": vocabulary[END_OF_TEXT]}
        entries = sorted(vocabulary, key=vocabulary.__getitem__)
        self.fingerprint = fingerprint_of("byte-level bpe", "\n".join(entries), "\n".join(map(" ".join, merges)))

    @classmethod
    def train(cls, texts: Iterable[str], *, size: int) -> BPETokenizer:
        """Train a tokenizer with up to `size` ids: bytes, merges and end-of-text.

        Raises:
            DataError: the texts are empty, or contain half of a surrogate pair.
        """
        library = Tokenizer(models.BPE())
        library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=size - 1, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
        train_merges(library, _check_texts(texts), trainer)
        vocabulary = library.get_vocab()
        vocabulary[END_OF_TEXT] = len(vocabulary)
        return cls(vocabulary, [(left, right) for left, right in json.loads(library.to_str())["model"]["merges"]])

    def split_point(self, text: str) -> int:
        match = _WORD_BEGINS.search(text[::-1])
        return len(text) - match.end() if match else 0

    def save(self, folder: Path) -> None:
        (folder / VOCABULARY).write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *map(" ".join, self.merges), ""]
        (folder / MERGES).write_text("\n".join(lines), encoding="utf-8")
        tokenizer_file.write(folder / FILE, {"end_of_text": self.special["end_of_text"], "fingerprint": self.fingerprint})

    @classmethod
    def load(cls, folder: Path) -> BPETokenizer:
        """Load a tokenizer that `save` saved.

        Raises:
            CheckpointError: a file is missing, incomplete or altered.
        """
        (fingerprint,) = tokenizer_file.read(folder / FILE, "fingerprint")
        try:
            tokenizer = cls(read_vocabulary(folder / VOCABULARY), read_merges(folder / MERGES))
        except DataError as error:
            raise CheckpointError(f"{folder} contains no valid tokenizer ({error}); use another checkpoint") from None
        tokenizer_file.check_fingerprint(folder, saved=fingerprint, actual=tokenizer.fingerprint)
        return tokenizer


def read_vocabulary(path: Path) -> dict[str, int]:
    """Read entries and their ids from a file such as GPT-2's encoder.json.

    Raises:
        DataError: the file cannot be read, or is not a vocabulary.
    """
    content = read_json_file(path)
    if not isinstance(content, dict) or not all(isinstance(token, int) for token in content.values()):
        raise DataError(f"{path} is not a vocabulary, which maps entries to ids")
    return content


def read_merges(path: Path) -> list[tuple[str, str]]:
    """Read merges from a file such as GPT-2's vocab.bpe: after a line with the version, one pair per line in learnt order.

    Raises:
        DataError: the file cannot be read, or a line is not a pair.
    """
    with open_user_file(path) as file:
        content = file.read()
    try:
        lines = io.StringIO(content.decode("utf-8"), newline=None).read().split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    merges = []
    for number, line in enumerate(lines, 1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise DataError(f"{path}:{number}: {line!r} is not a merge, which consists of two entries and a space between them")
        merges.append((left, right))
    return merges


def _check_texts(texts: Iterable[str]) -> Iterator[str]:
    is_empty = True
    for text in texts:
        utf8(text)
        is_empty = is_empty and not text
        yield text
    if is_empty:
        raise DataError("tokenizer=bpe has no text to train on; check data.path")


def _one_thread_in_forks() -> None:
    """Make forked processes encode on one thread, because the threads of the library do not survive a fork, which it warns about.

    The library reads the environment variable at the fork and at each encoding. A value that the user set is not changed.
    """
    name = "TOKENIZERS_PARALLELISM"
    set_by_us: list[bool] = []

    def before() -> None:
        set_by_us.append(name not in os.environ)
        if set_by_us[-1]:
            os.environ[name] = "false"

    def after() -> None:
        if set_by_us.pop():
            del os.environ[name]

    os.register_at_fork(before=before, after_in_parent=after)


_one_thread_in_forks()
