"""Byte-level BPE: training, ids and invalid vocabularies."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from itertools import pairwise

import pytest

from gptkit.errors import DataError
from gptkit.tokenizer import BPETokenizerConfig
from gptkit.tokenizer.bpe import BPETokenizer

TEXT = "low low low low low lower lower newest newest newest newest newest newest widest widest widest"


def test_merges_are_the_most_frequent_pairs() -> None:
    """By definition, each merge joins the most frequent pair of neighbours within words, and pairs are counted again."""
    built = BPETokenizer.train([TEXT], size=257 + 12)
    words = [
        list(word) for word in TEXT.replace(" ", " Ġ").split(" ")
    ]  # a word includes the space before it, which is written as Ġ
    for left, right in built.merges:
        counts = Counter(pair for word in words for pair in pairwise(word))
        assert counts[left, right] == max(counts.values())
        for word in words:
            index = 0
            while index < len(word) - 1:
                if (word[index], word[index + 1]) == (left, right):
                    word[index : index + 2] = [left + right]
                index += 1
    assert len(built.merges) == 12


def test_ids_are_bytes_then_merges_then_end_of_text() -> None:
    built = BPETokenizer.train([TEXT], size=270)
    assert built.size == 270
    assert built.special == {"end_of_text": 269}
    assert sorted(built.encode("".join(map(chr, range(128))))) != []
    assert max(built.encode(TEXT)) < 269
    assert [built.vocabulary[left + right] for left, right in built.merges] == list(range(256, 269))


def test_little_text_gives_fewer_ids_than_the_size() -> None:
    built = BPETokenizerConfig(size=5000).build(texts=["aaaa bbbb"])
    assert built.size < 300
    assert built.special["end_of_text"] == built.size - 1


def test_training_is_deterministic() -> None:
    texts = [f"{number} bottles hanging on the wall, take {number % 7} down; " * 3 for number in range(500)]
    assert (
        BPETokenizerConfig(size=600).build(texts=iter(texts)).fingerprint
        == BPETokenizerConfig(size=600).build(texts=iter(texts)).fingerprint
    )


def test_empty_text_is_an_error() -> None:
    with pytest.raises(DataError, match="no text to train on"):
        BPETokenizerConfig().build(texts=iter(["", ""]))


def test_invalid_vocabularies_are_rejected() -> None:
    built = BPETokenizer.train([TEXT], size=260)
    with pytest.raises(DataError, match="ids are not the numbers"):
        BPETokenizer({**built.vocabulary, "more": 999}, built.merges)
    with pytest.raises(DataError, match="no entry <"):
        BPETokenizer({entry: token for entry, token in built.vocabulary.items() if token != 259}, built.merges)
    with pytest.raises(DataError, match="merges do not fit"):
        BPETokenizer(built.vocabulary, [*built.merges, ("q", "q")])


def test_forked_process_encodes_without_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    """Data loaders fork; the threads of the library do not survive the fork."""
    built = BPETokenizer.train([TEXT], size=260)
    texts = [TEXT] * 50
    expected = [ids.tolist() for ids in built.encode_batch(texts)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns about forks of processes with threads
        child = os.fork()
    if child == 0:
        os._exit(0 if [ids.tolist() for ids in built.encode_batch(texts)] == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert capfd.readouterr().err == ""
    assert "TOKENIZERS_PARALLELISM" not in os.environ
