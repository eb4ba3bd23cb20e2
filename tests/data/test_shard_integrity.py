"""Integrity of token shards: damaged and swapped shards are detected and written again, intact ones are read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gptkit.data.tokens.tokenization import tokenize_split, verify_shards
from gptkit.tokenizer import BytesTokenizerConfig
from tests.data.documents import Documents, ids_of


@pytest.mark.parametrize("file", ["tokens-00000.bin", "tokens-00002.bin", "documents.bin", "index.json"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty", "altered"])
def test_damaged_shards_are_written_again(shard_cache: Path, file: str, damage: str) -> None:
    data, tokenizer = Documents(["some text", "and more"] * 50), BytesTokenizerConfig().build(texts=[])
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=300))
    (path,) = shard_cache.glob(f"*/{file}")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"short": content[:-1], "empty": b"", "altered": b"\x07" + content[1:]}[damage])
    shards = tokenize_split(data, "train", tokenizer, shard_tokens=300)
    assert ids_of(shards) == expected
    assert len(shards.ends) == 100
    assert sorted(each.name for each in shard_cache.iterdir() if each.is_dir()) == [path.parent.name]


def flip_bit(path: Path, index: int) -> None:
    """Change one bit but not the modification time, as a faulty disk does."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[index] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("file", ["tokens-00000.bin", "tokens-00001.bin", "documents.bin", "index.json"])
def test_flipped_bit_is_detected_despite_an_unchanged_modification_time(
    shard_cache: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, tokenizer = Documents(["some text", "and more"] * 50), BytesTokenizerConfig().build(texts=[])
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=500))
    (path,) = shard_cache.glob(f"*/{file}")
    flip_bit(path, 40)
    assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=500)) == expected
    (warning,) = caplog.messages
    assert f"token shards in {path.parent} are written again: {file} is" in warning


def test_swapped_shards_are_detected(shard_cache: Path) -> None:
    """This includes two files of a folder, and two folders."""
    tokenizer = BytesTokenizerConfig().build(texts=[])
    data, other = Documents(["a text", "b more"] * 50), Documents(["c text", "d more"] * 50, fingerprint="other")
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=350))
    (folder,) = (path for path in shard_cache.iterdir() if path.is_dir())
    first, second = folder / "tokens-00000.bin", folder / "tokens-00001.bin"
    assert first.stat().st_size == second.stat().st_size
    first.rename(folder / "x"), second.rename(first), (folder / "x").rename(second)
    assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=350)) == expected
    tokenize_split(other, "train", tokenizer, shard_tokens=350)
    (others,) = (path for path in shard_cache.iterdir() if path.is_dir() and path != folder)
    shutil.rmtree(folder)
    others.rename(folder)
    assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=350)) == expected


def test_large_shards_are_sampled_and_checked_completely_on_demand(shard_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.data.tokens.shards.BLOCK", 100)
    monkeypatch.setattr("gptkit.data.tokens.shards.SAMPLED_BLOCKS", 3)
    data, tokenizer = Documents(["some text", "and more"] * 500), BytesTokenizerConfig().build(texts=[])
    expected = ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=3000))
    (path,) = shard_cache.glob("*/tokens-00001.bin")
    index_file = json.loads((path.parent / "index.json").read_text())
    assert [len(file["blocks"]) for file in index_file["files"]] == [60, 60, 60, 10, 80]
    for index in range(0, 6000, 100):
        flip_bit(path, index)  # every block of this file, a third of all blocks
    while ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=3000)) != expected:
        pass  # until a sample contains a damaged block
    (path,) = shard_cache.glob("*/tokens-00001.bin")
    flip_bit(path, 1234)
    with verify_shards(True):
        assert ids_of(tokenize_split(data, "train", tokenizer, shard_tokens=3000)) == expected


def test_shards_of_an_older_version_are_read(shard_cache: Path) -> None:
    data, tokenizer = Documents(["some text"] * 9), BytesTokenizerConfig().build(texts=[])
    tokenize_split(data, "train", tokenizer)
    (path,) = shard_cache.glob("*/index.json")
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


def test_copied_shards_are_read(shard_cache: Path) -> None:
    """A copy has a new modification time, so its content is checked."""
    data, tokenizer = Documents(["some text"]), BytesTokenizerConfig().build(texts=[])
    tokenize_split(data, "train", tokenizer)
    (path,) = shard_cache.glob("*/tokens-00000.bin")
    os.utime(path, ns=(0, 0))
    inode = path.stat().st_ino
    tokenize_split(data, "train", tokenizer)
    assert path.stat().st_ino == inode
