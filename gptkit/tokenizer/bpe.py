"""Byte-level BPE: learnt from text (`bpe`) or read from GPT-2's files (`gpt2`); the tokenizers library does the work.

Source: "Language Models are Unsupervised Multitask Learners", section 2.2: merges of bytes that never cross the boundaries between
letters, digits, other signs and white space, except for one space before a word.
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
"""Words whose ids the library remembers: most of those that a large corpus repeats, six times its default."""

# Read backwards: places where a word is sure to begin, whatever stands around them. White space after a sign that is none, and a
# full-width stop after kana or an ideograph. (White space after white space is no such place: how a run of it is split depends on
# what follows it.)
_WORD_BEGINS = re.compile(r"[ \n](?=\S)|[、。，！？；：](?=[ぁ-ゖァ-ヺ一-龥])")  # noqa: RUF001


class BPETokenizer(LibraryTokenizer):
    """Ids of a vocabulary of byte strings; end-of-text is one more entry of it, which no text is ever encoded to."""

    def __init__(self, vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> None:
        """The tokenizer of these entries, spelt in GPT-2's printable alphabet of bytes, and these merges, the first learnt first.

        Raises:
            DataError: ids are not 0 to n - 1, a byte or end-of-text has no entry, or a merge gives no entry.
        """
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise DataError(f"the vocabulary's {len(vocabulary)} ids are not the numbers 0 to {len(vocabulary) - 1}")
        missing = [entry for entry in (END_OF_TEXT, *sorted(pre_tokenizers.ByteLevel.alphabet())) if entry not in vocabulary]
        if missing:
            raise DataError(f"the vocabulary has no entry {missing[0]}: it is no byte-level BPE of GPT-2's kind")
        try:
            self.library = Tokenizer(models.BPE(vocabulary, merges, cache_capacity=CACHED_WORDS))
        except Exception as error:  # the library raises nothing more precise
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
        """Learn merges from `texts` until there are `size` ids, or none is left to learn. Ids: bytes, merges, end-of-text.

        Raises:
            DataError: the texts hold no character, or half of a surrogate pair.
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
        """Read back what `save` wrote.

        Raises:
            CheckpointError: a file is missing, torn or altered.
        """
        (fingerprint,) = tokenizer_file.read(folder / FILE, "fingerprint")
        try:
            tokenizer = cls(read_vocabulary(folder / VOCABULARY), read_merges(folder / MERGES))
        except DataError as error:
            raise CheckpointError(f"{folder} holds no tokenizer that can be used ({error}); use another checkpoint") from None
        tokenizer_file.check_fingerprint(folder, saved=fingerprint, found=tokenizer.fingerprint)
        return tokenizer


def read_vocabulary(path: Path) -> dict[str, int]:
    """Entries and their ids, of a file like GPT-2's encoder.json.

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    content = read_json_file(path)
    if not isinstance(content, dict) or not all(isinstance(token, int) for token in content.values()):
        raise DataError(f"{path} is no vocabulary: it should map entries to ids")
    return content


def read_merges(path: Path) -> list[tuple[str, str]]:
    """Pairs in the order in which they were learnt, of a file like GPT-2's vocab.bpe: after a line with its version, a pair a line.

    Raises:
        DataError: it cannot be read, or a line is no pair.
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
            raise DataError(f"{path}:{number}: {line!r} is no merge: two entries with a space between them")
        merges.append((left, right))
    return merges


def _check_texts(texts: Iterable[str]) -> Iterator[str]:
    empty = True
    for text in texts:
        utf8(text)
        empty = empty and not text
        yield text
    if empty:
        raise DataError("tokenizer=bpe found no text to learn from; check data.path")


def _one_thread_in_forks() -> None:
    """Have a forked process encode on one thread: the library's threads do not survive a fork, and it says so at length.

    The library reads the variable when the fork happens and whenever it encodes; a user's own setting is left alone.
    """
    name = "TOKENIZERS_PARALLELISM"
    ours: list[bool] = []

    def before() -> None:
        ours.append(name not in os.environ)
        if ours[-1]:
            os.environ[name] = "false"

    def after() -> None:
        if ours.pop():
            del os.environ[name]

    os.register_at_fork(before=before, after_in_parent=after)


_one_thread_in_forks()
