"""Tokenisation: shards hold the ids of a slow encoding, are cached, and are written by one of any number of processes."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gptkit.data import TextConfig
from gptkit.data.tokens.shards import shard_type
from gptkit.data.tokens.tokenization import tokenize_split
from gptkit.errors import DataError
from gptkit.records import Document
from gptkit.tokenizer import BPETokenizerConfig, BytesTokenizerConfig, CharTokenizerConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.tokenizer.bytes import BytesTokenizer
from tests.data.documents import Documents, ids_of

pytestmark = pytest.mark.usefixtures("shard_cache")


def slow_encoding(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the ids of all documents, each followed by end-of-text, and the ends of the documents."""
    ids: list[int] = []
    ends = []
    for text in filter(None, texts):
        ids += [*tokenizer.encode(text), tokenizer.special["end_of_text"]]
        ends.append(len(ids))
    return ids, ends


def some_documents() -> list[str]:
    generator = random.Random(0)
    words = ["alpha", "beta", " ", "\n\n", "  ", "don't", "é🙂", "12", "-", ". "]
    lengths = [0, 1, 3, 10_000, 200, 0, *(generator.randrange(400) for _ in range(100)), 20_000, 0]
    return ["".join(generator.choices(words, k=length)) for length in lengths]


@pytest.mark.parametrize(
    "part", [BytesTokenizerConfig(), CharTokenizerConfig(), BPETokenizerConfig(size=500)], ids=lambda part: part.name
)
@pytest.mark.parametrize("shard_tokens", [1000, 1 << 20])
def test_shards_hold_the_ids_of_a_slow_encoding(part: Any, shard_tokens: int) -> None:
    texts = some_documents()
    tokenizer = part.build(texts=texts)
    shards = tokenize_split(Documents(texts), "train", tokenizer, shard_tokens=shard_tokens)
    ids, ends = slow_encoding(texts, tokenizer)
    assert ids_of(shards) == ids
    assert shards.ends.tolist() == ends
    assert len(shards) == len(ids)
    assert all(len(part) == shard_tokens for part in shards.parts[:-1]) and 0 < len(shards.parts[-1]) <= shard_tokens
    assert {part.dtype for part in shards.parts} == {np.dtype("uint16")}


def test_large_files_hold_the_ids_of_a_slow_encoding(tmp_path: Path) -> None:
    """A file of several blocks is one document."""
    text = "".join(some_documents()) * 8
    assert len(text.encode()) > 1 << 20
    (tmp_path / "a.txt").write_text(text, encoding="utf-8", newline="")
    tokenizer = BPETokenizerConfig(size=300).build(texts=[text[:100_000]])
    shards = tokenize_split(TextConfig(path=str(tmp_path / "a.txt")).build(), "train", tokenizer)
    assert (ids_of(shards), shards.ends.tolist()) == slow_encoding([text], tokenizer)


def test_text_is_tokenised_once(shard_cache: Path) -> None:
    class Counting(BytesTokenizer):
        calls = 0

        def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
            Counting.calls += 1
            return super().encode_batch(texts)

    for _ in range(3):
        tokenize_split(Documents(["a"]), "train", Counting())
    assert Counting.calls == 1
    tokenize_split(Documents(["b"], fingerprint="others"), "train", Counting())
    tokenize_split(Documents(["b"]), "validation", Counting())
    tokenize_split(Documents(["b"]), "train", CharTokenizerConfig().build(texts=["b"]))
    assert len([path for path in shard_cache.iterdir() if path.is_dir()]) == 4


def test_failed_tokenisation_leaves_no_folder(shard_cache: Path) -> None:
    class Failing(Documents):
        def records(self, split: str) -> Iterator[Document]:
            yield from map(Document, ["x" * 1_000_000] * 5)
            raise DataError("a.txt:7: bad")

    with pytest.raises(DataError, match=r"a\.txt:7: bad"):
        tokenize_split(Failing([]), "train", BytesTokenizerConfig().build(texts=[]))
    assert not [path for path in shard_cache.iterdir() if path.is_dir()]


def test_empty_text_is_an_error() -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(DataError, match="the corpus is empty: the train split contains no text"):
            tokenize_split(Documents(texts), "train", BytesTokenizerConfig().build(texts=[]))


def test_full_disk_is_an_error_that_names_the_cache(shard_cache: Path) -> None:
    """A limit on the size of files simulates a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(DataError, match=r"cannot write token shards to .*shards \(File too large\).*GPTKIT_CACHE"):
            tokenize_split(Documents(["x" * 1000] * 1000), "train", BytesTokenizerConfig().build(texts=[]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in shard_cache.iterdir() if path.is_dir()]


def test_unwritable_cache_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPTKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot write token shards to .*GPTKIT_CACHE"):
        tokenize_split(Documents(["x"]), "train", BytesTokenizerConfig().build(texts=[]))


def test_ids_beyond_the_vocabulary_are_errors() -> None:
    assert [shard_type(size) for size in (65536, 65537, 1 << 32)] == [np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint32)]
    with pytest.raises(DataError, match="does not fit the shards' widest type"):
        shard_type((1 << 32) + 1)

    class InvalidIds(BytesTokenizer):
        def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
            return [np.array([65536 + 7], dtype=np.uint32) for _ in texts]

    with pytest.raises(DataError, match="id 65543, which is not below its size 257"):
        tokenize_split(Documents(["x"]), "train", InvalidIds())


def test_large_vocabularies_take_four_bytes() -> None:
    class Large(BytesTokenizer):
        def __init__(self) -> None:
            super().__init__()
            self.size, self.special, self.fingerprint = 70_000, {"end_of_text": 69_999}, "large"

    shards = tokenize_split(Documents(["ab", "c"]), "train", Large())
    assert ids_of(shards) == [97, 98, 69_999, 99, 69_999]
    assert shards.parts[0].dtype == np.uint32


WRITER = """
import sys, time
from gptkit.data.base import Data
from gptkit.data.tokens.tokenization import tokenize_split, verify_shards
from gptkit.records import Document
from gptkit.tokenizer.bytes import BytesTokenizer

class Slow(Data):
    fingerprint = "documents"
    def records(self, split):
        for number in range(200):
            yield Document(f"{number} " * 4000)
            if number == 100:
                print("half", flush=True)
                time.sleep(float(sys.argv[1]))

print(len(tokenize_split(Slow(), "train", BytesTokenizer(), shard_tokens=100_000)), flush=True)
"""


def writer(seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(seconds)], stdout=subprocess.PIPE, text=True)


@pytest.mark.process
def test_killed_and_concurrent_writers_leave_valid_shards(shard_cache: Path) -> None:
    texts = [f"{number} " * 4000 for number in range(200)]
    tokenizer = BytesTokenizerConfig().build(texts=[])
    with writer(600) as killed:
        assert killed.stdout is not None and killed.stdout.readline() == "half\n"
        killed.send_signal(signal.SIGKILL)
    assert [path.name for path in shard_cache.iterdir() if ".draft-" in path.name]
    with writer(0.3) as first, writer(0.3) as second:
        outputs = [process.communicate()[0].split() for process in (first, second)]
    ids, ends = slow_encoding(texts, tokenizer)
    assert sorted(outputs, key=len) == [[str(len(ids))], ["half", str(len(ids))]]  # one process waited for the other
    shards = tokenize_split(Documents(texts), "train", tokenizer)
    assert ids_of(shards) == ids and shards.ends.tolist() == ends
    assert len([path for path in shard_cache.iterdir() if path.is_dir()]) == 1
    (index,) = shard_cache.glob("*/index.json")
    assert json.loads(index.read_text())["tokens"] == len(ids)
