"""Text to token shards: the ids of a slow encoding, found again, made again when harmed, by any number of processes."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
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
from gptkit.data.base import Data
from gptkit.data.tokens.shards import Shards, shard_type
from gptkit.data.tokens.tokenization import tokenize_split, verify_shards
from gptkit.errors import DataError
from gptkit.records import Document
from gptkit.tokenizer import BPETokenizerConfig, BytesTokenizerConfig, CharTokenizerConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.tokenizer.bytes import BytesTokenizer


class Documents(Data):
    """Texts from a list."""

    def __init__(self, texts: Sequence[str], fingerprint: str = "documents") -> None:
        self._texts, self.fingerprint = texts, fingerprint

    def records(self, split: str) -> Iterator[Document]:
        return map(Document, self._texts)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPTKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


def ids_of(shards: Shards) -> list[int]:
    return [token for part in shards.parts for token in part.tolist()]


def slowly(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """One document after the other, each followed by end-of-text; and where they end."""
    ids: list[int] = []
    ends = []
    for text in filter(None, texts):
        ids += [*tokenizer.encode(text), tokenizer.special["end_of_text"]]
        ends.append(len(ids))
    return ids, ends


def some_documents() -> list[str]:
    draw = random.Random(0)
    words = ["alpha", "beta", " ", "\n\n", "  ", "don't", "é🙂", "12", "-", ". "]
    lengths = [0, 1, 3, 10_000, 200, 0, *(draw.randrange(400) for _ in range(100)), 20_000, 0]
    return ["".join(draw.choices(words, k=length)) for length in lengths]


@pytest.mark.parametrize(
    "part", [BytesTokenizerConfig(), CharTokenizerConfig(), BPETokenizerConfig(size=500)], ids=lambda part: part.name
)
@pytest.mark.parametrize("shard_tokens", [1000, 1 << 20])
def test_shards_hold_the_ids_of_a_slow_encoding(part: Any, shard_tokens: int) -> None:
    texts = some_documents()
    tokenizer = part.build(texts=texts)
    shards = tokenize_split(Documents(texts), "train", tokenizer, shard_tokens=shard_tokens)
    ids, ends = slowly(texts, tokenizer)
    assert ids_of(shards) == ids
    assert shards.ends.tolist() == ends
    assert len(shards) == len(ids)
    assert all(len(part) == shard_tokens for part in shards.parts[:-1]) and 0 < len(shards.parts[-1]) <= shard_tokens
    assert {part.dtype for part in shards.parts} == {np.dtype("uint16")}


def test_large_files_hold_the_ids_of_a_slow_encoding(tmp_path: Path) -> None:
    """A file of several blocks is one document, however it is read."""
    text = "".join(some_documents()) * 8
    assert len(text.encode()) > 1 << 20
    (tmp_path / "a.txt").write_text(text, encoding="utf-8", newline="")
    tokenizer = BPETokenizerConfig(size=300).build(texts=[text[:100_000]])
    shards = tokenize_split(TextConfig(path=str(tmp_path / "a.txt")).build(), "train", tokenizer)
    assert (ids_of(shards), shards.ends.tolist()) == slowly([text], tokenizer)


def test_text_is_tokenised_once(cache: Path) -> None:
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
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 4


@pytest.mark.parametrize("file", ["tokens-00000.bin", "tokens-00002.bin", "documents.bin", "index.json"])
@pytest.mark.parametrize("harm", ["gone", "short", "empty", "altered"])
def test_harmed_shards_are_made_again(cache: Path, file: str, harm: str) -> None:
    data, tokenizer = Documents(["some text", "and more"] * 50), BytesTokenizerConfig().build(texts=[])
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=300))
    (path,) = cache.glob(f"*/{file}")
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes({"short": content[:-1], "empty": b"", "altered": b"\x07" + content[1:]}[harm])
    again = tokenize_split(data, "train", tokenizer, shard_tokens=300)
    assert ids_of(again) == expected
    assert len(again.ends) == 100
    assert sorted(each.name for each in cache.iterdir() if each.is_dir()) == [path.parent.name]


def harmed(path: Path, place: int) -> None:
    """One byte is another, and the time of change is what it was: as a bad disk does it."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("file", ["tokens-00000.bin", "tokens-00001.bin", "documents.bin", "index.json"])
def test_a_bit_that_flips_unseen_is_found(cache: Path, file: str, caplog: pytest.LogCaptureFixture) -> None:
    data, tokenizer = Documents(["some text", "and more"] * 50), BytesTokenizerConfig().build(texts=[])
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=500))
    (path,) = cache.glob(f"*/{file}")
    harmed(path, 40)
    assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=500)) == expected
    (warning,) = caplog.messages
    assert f"token shards in {path.parent} are written again: {file} is" in warning


def test_exchanged_shards_are_found(cache: Path) -> None:
    """Two files of a folder, and two folders."""
    tokenizer = BytesTokenizerConfig().build(texts=[])
    data, other = Documents(["a text", "b more"] * 50), Documents(["c text", "d more"] * 50, fingerprint="other")
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=350))
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    first, second = folder / "tokens-00000.bin", folder / "tokens-00001.bin"
    assert first.stat().st_size == second.stat().st_size
    first.rename(folder / "x"), second.rename(first), (folder / "x").rename(second)
    assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=350)) == expected
    tokenize_split(other, "train", tokenizer, shard_tokens=350)
    (others,) = (path for path in cache.iterdir() if path.is_dir() and path != folder)
    shutil.rmtree(folder)
    others.rename(folder)
    assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=350)) == expected


def test_of_large_shards_a_sample_is_compared_and_all_on_demand(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.data.tokens.shards.BLOCK", 100)
    monkeypatch.setattr("gptkit.data.tokens.shards.SAMPLED_BLOCKS", 3)
    data, tokenizer = Documents(["some text", "and more"] * 500), BytesTokenizerConfig().build(texts=[])
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=3000))
    (path,) = cache.glob("*/tokens-00001.bin")
    index = json.loads((path.parent / "index.json").read_text())
    assert [len(file["blocks"]) for file in index["files"]] == [60, 60, 60, 10, 80]
    for place in range(0, 6000, 100):
        harmed(path, place)  # every block of this file: a third of all
    while ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=3000)) != expected:
        pass  # a sample finds it sooner or later
    (path,) = cache.glob("*/tokens-00001.bin")
    harmed(path, 1234)
    with verify_shards(True):
        assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=3000)) == expected


def test_shards_of_an_older_version_are_taken(cache: Path) -> None:
    data, tokenizer = Documents(["some text"] * 9), BytesTokenizerConfig().build(texts=[])
    tokenize_split(data, "train", tokenizer)
    (path,) = cache.glob("*/index.json")
    index = json.loads(path.read_text())
    for file in index["files"]:
        del file["blocks"]
    path.write_text(json.dumps({name: index[name] for name in ("format", "type", "tokens", "documents", "files")}))
    inode = path.stat().st_ino
    tokenize_split(data, "train", tokenizer)
    assert path.stat().st_ino == inode
    index["type"] = "<u4"
    path.write_text(json.dumps({name: index[name] for name in ("format", "type", "tokens", "documents", "files")}))
    assert len(tokenize_split(data, "train", tokenizer)) == 90


def test_copied_shards_are_taken(cache: Path) -> None:
    """A copy has other times of change; its content is compared."""
    data, tokenizer = Documents(["some text"]), BytesTokenizerConfig().build(texts=[])
    tokenize_split(data, "train", tokenizer)
    (path,) = cache.glob("*/tokens-00000.bin")
    os.utime(path, ns=(0, 0))
    inode = path.stat().st_ino
    tokenize_split(data, "train", tokenizer)
    assert path.stat().st_ino == inode


def test_an_error_on_the_way_leaves_nothing(cache: Path) -> None:
    class Failing(Documents):
        def records(self, split: str) -> Iterator[Document]:
            yield from map(Document, ["x" * 1_000_000] * 5)
            raise DataError("a.txt:7: bad")

    with pytest.raises(DataError, match=r"a\.txt:7: bad"):
        tokenize_split(Failing([]), "train", BytesTokenizerConfig().build(texts=[]))
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_no_text_is_an_error() -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(DataError, match="the corpus is empty: the train split contains no text"):
            tokenize_split(Documents(texts), "train", BytesTokenizerConfig().build(texts=[]))


def test_a_full_disk_is_named(cache: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(DataError, match=r"cannot write token shards to .*shards \(File too large\).*GPTKIT_CACHE"):
            tokenize_split(Documents(["x" * 1000] * 1000), "train", BytesTokenizerConfig().build(texts=[]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPTKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot write token shards to .*GPTKIT_CACHE"):
        tokenize_split(Documents(["x"]), "train", BytesTokenizerConfig().build(texts=[]))


def test_ids_that_do_not_fit_are_errors() -> None:
    assert [shard_type(size) for size in (65536, 65537, 1 << 32)] == [np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint32)]
    with pytest.raises(DataError, match="does not fit the shards' widest type"):
        shard_type((1 << 32) + 1)

    class Lying(BytesTokenizer):
        def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
            return [np.array([65536 + 7], dtype=np.uint32) for _ in texts]

    with pytest.raises(DataError, match="id 65543, which is not below its size 257"):
        tokenize_split(Documents(["x"]), "train", Lying())


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
def test_killed_and_competing_writers_do_no_harm(cache: Path) -> None:
    texts = [f"{number} " * 4000 for number in range(200)]
    tokenizer = BytesTokenizerConfig().build(texts=[])
    with writer(600) as killed:
        assert killed.stdout is not None and killed.stdout.readline() == "half\n"
        killed.send_signal(signal.SIGKILL)
    assert [path.name for path in cache.iterdir() if ".draft-" in path.name]
    with writer(0.3) as first, writer(0.3) as second:
        said = [process.communicate()[0].split() for process in (first, second)]
    ids, ends = slowly(texts, tokenizer)
    assert sorted(said, key=len) == [[str(len(ids))], ["half", str(len(ids))]]  # one of them waited for the other
    shards = tokenize_split(Documents(texts), "train", tokenizer)
    assert ids_of(shards) == ids and shards.ends.tolist() == ends
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1
    (index,) = cache.glob("*/index.json")
    assert json.loads(index.read_text())["tokens"] == len(ids)
