"""Token shards: the token ids of a split on disk, in memory-mapped files of equal size.

index.json          description of the files: sizes, SHA-256 and CRC-32 by block of every file, and the SHA-256 of the index itself
tokens-00000.bin    uint16 or uint32, little-endian; every document is followed by the end-of-text token
documents.bin       int64: the end of each document in the sequence of all tokens, after its end-of-text token
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import DataError

FORMAT = 1
SHARD_TOKENS = 1 << 26
"""Tokens in every shard except the last."""

INDEX, DOCUMENTS = "index.json", "documents.bin"

BLOCK = 1 << 20
"""Bytes per checksum."""

SAMPLED_BLOCKS = 64
"""Number of random blocks that are checked each time shards are opened. Smaller corpora are checked completely."""


def shard_type(vocabulary: int) -> np.dtype[Any]:
    """Return the smallest type for the ids of a vocabulary of this size.

    Raises:
        DataError: no type is large enough.
    """
    if vocabulary <= 1 << 16:
        return np.dtype("<u2")
    if vocabulary <= 1 << 32:
        return np.dtype("<u4")
    raise DataError(f"a vocabulary of {vocabulary} ids does not fit the shards' widest type, uint32; choose a smaller tokenizer")


class Shards:
    """The tokens of one split: `parts` are the tokens in order, by file; `ends`, (documents,) int64, are the ends of documents."""

    def __init__(self, parts: list[NDArray[Any]], ends: NDArray[np.int64]) -> None:
        self.parts, self.ends = parts, ends

    def __len__(self) -> int:
        """Return the number of tokens."""
        return sum(map(len, self.parts))


class CorruptShards(Exception):
    """Shards exist but differ from what was written. The message names the file and the difference."""


def open_shards(folder: Path, *, key: str = "", verify: bool = False) -> Shards | None:
    """Open the shards of a folder; return None if there are none.

    The index, the ends of the documents, and every file with a new modification time are checked by SHA-256, all other files by the
    checksums of random blocks.

    Args:
        folder: the folder of the shards.
        key: the key that was passed to `ShardWriter.finish`; empty: do not check it.
        verify: check every file by SHA-256.

    Raises:
        CorruptShards: the shards are incomplete, altered, or have another key.
    """
    try:
        text = (folder / INDEX).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CorruptShards(f"{INDEX} cannot be read: {error}") from None
    try:
        index = _check_index(json.loads(text), key)
        files: list[dict[str, Any]] = index["files"]
        for file in files:
            _check_file(folder / file["name"], file, whole=verify or file["name"] == DOCUMENTS)
        if not verify:
            _check_sample(folder, files)
        *tokens, documents = (folder / file["name"] for file in files)
        parts = [_map_file(path, np.dtype(index["type"])) for path in tokens]
        shards = Shards(parts, _map_file(documents, np.dtype("<i8")))
    except OSError as error:
        raise CorruptShards(f"{Path(error.filename or folder).name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise CorruptShards(f"{INDEX} is incomplete or altered") from None
    if (len(shards), len(shards.ends), int(shards.ends[-1])) != (index["tokens"], index["documents"], index["tokens"]):
        raise CorruptShards(f"{INDEX} and the other files disagree about the number of tokens or documents")
    return shards


def _check_index(index: dict[str, Any], key: str) -> dict[str, Any]:
    """Check the SHA-256 and the key of an index, which indexes of older versions lack, and return the index."""
    saved_sha256 = index.pop("sha256", None)
    if index["format"] != FORMAT or (saved_sha256 is not None and saved_sha256 != _sha256(index)):
        raise CorruptShards(f"{INDEX} is incomplete or altered")
    if key and index.get("key", key) != key:
        raise CorruptShards(f"{INDEX} belongs to another text or tokenizer")
    return index


def _sha256(index: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def _check_file(path: Path, file: dict[str, Any], *, whole: bool) -> None:
    status = path.stat()
    if status.st_size != file["bytes"]:
        raise CorruptShards(f"{path.name} has {status.st_size:,} bytes, but {file['bytes']:,} were written")
    if whole or status.st_mtime_ns != file["changed_ns"]:
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file["sha256"]:
                raise CorruptShards(f"{path.name} is altered: its SHA-256 differs")


def _check_sample(folder: Path, files: list[dict[str, Any]]) -> None:
    """Check random blocks of the tokens; small shards are checked completely. Older versions wrote no checksums of blocks."""
    tokens = [file for file in files if file["name"] != DOCUMENTS]
    if sum(file["bytes"] for file in tokens) <= SAMPLED_BLOCKS * BLOCK:
        for file in tokens:
            _check_file(folder / file["name"], file, whole=True)
        return
    blocks = [(file["name"], number, checksum) for file in tokens for number, checksum in enumerate(file.get("blocks", []))]
    # a separate generator, so that the random state of the run does not change
    for name, number, checksum in random.SystemRandom().sample(blocks, min(SAMPLED_BLOCKS, len(blocks))):
        with (folder / name).open("rb") as stream:
            stream.seek(number * BLOCK)
            if zlib.crc32(stream.read(BLOCK)) != checksum:
                raise CorruptShards(f"{name} is altered: the checksum of its block {number} differs")


def _map_file(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    """Map a file into memory as a plain array, since slices of numpy's memmap subclass are several times slower."""
    return np.asarray(np.memmap(path, dtype=kind, mode="r"))


class ShardWriter:
    """Writes a new folder of shards, which is complete only after `finish` returns."""

    def __init__(self, folder: Path, *, vocabulary: int, end_of_text: int, shard_tokens: int = SHARD_TOKENS) -> None:
        self.tokens = self.documents = 0
        self._folder, self._vocabulary, self._shard_tokens = folder, vocabulary, shard_tokens
        self._type = shard_type(vocabulary)
        self._end = np.array([end_of_text], dtype=np.uint32)
        self._begin = 0  # start of the current document
        self._files: list[dict[str, Any]] = []
        self._shard: _HashedFile | None = None
        self._documents = _HashedFile(folder / DOCUMENTS)

    def add(self, ids: list[NDArray[np.uint32]], is_last: list[bool]) -> None:
        """Append chunks of documents. If `is_last`, the document ends, and end-of-text is appended. Empty documents are skipped.

        Raises:
            DataError: an id is not below the vocabulary's size.
        """
        parts, ends = [], []
        for chunk, ends_document in zip(ids, is_last, strict=True):
            parts.append(chunk)
            self.tokens += len(chunk)
            if ends_document and self.tokens > self._begin:
                parts.append(self._end)
                self.tokens += 1
                self._begin = self.tokens
                ends.append(self.tokens)
        tokens = np.concatenate(parts)
        if tokens.max(initial=0) >= self._vocabulary:
            raise DataError(f"the tokenizer returned id {tokens.max()}, which is not below its size {self._vocabulary}")
        self.documents += len(ends)
        self._documents.write(np.array(ends, dtype="<i8").tobytes())
        self._write(tokens.astype(self._type))

    def _write(self, tokens: NDArray[Any]) -> None:
        while len(tokens):
            if self._shard is None:
                self._shard = _HashedFile(self._folder / f"tokens-{len(self._files):05d}.bin")
            room = self._shard_tokens - self._shard.bytes // self._type.itemsize
            self._shard.write(tokens[:room].tobytes())
            tokens = tokens[room:]
            if self._shard.bytes == self._shard_tokens * self._type.itemsize:
                self._files.append(self._shard.finish())
                self._shard = None

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in (self._shard, self._documents):
            if file is not None:
                file.close()

    def finish(self, key: str = "") -> None:
        """Write the remaining tokens and the index, and sync them to disk.

        Args:
            key: identifies the text and the tokenizer, for `open_shards`.
        """
        if self._shard is not None:
            self._files.append(self._shard.finish())
        self._files.append(self._documents.finish())
        index: dict[str, Any] = {
            "format": FORMAT,
            "key": key,
            "type": self._type.str,
            "tokens": self.tokens,
            "documents": self.documents,
            "files": self._files,
        }
        index["sha256"] = _sha256(index)
        with (self._folder / INDEX).open("w", encoding="utf-8") as file:
            json.dump(index, file, indent=1)
            _sync(file)


class _HashedFile:
    def __init__(self, path: Path) -> None:
        self._path, self._file, self._hash, self.bytes = path, path.open("wb"), hashlib.sha256(), 0
        self._blocks: list[int] = []

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        while data:
            room = BLOCK - self.bytes % BLOCK
            if room == BLOCK:
                self._blocks.append(0)
            self._blocks[-1] = zlib.crc32(data[:room], self._blocks[-1])
            self.bytes += len(data[:room])
            data = data[room:]

    def close(self) -> None:
        self._file.close()

    def finish(self) -> dict[str, Any]:
        with self._file:
            _sync(self._file)
        changed = self._path.stat().st_mtime_ns
        return {
            "name": self._path.name,
            "bytes": self.bytes,
            "sha256": self._hash.hexdigest(),
            "changed_ns": changed,
            "blocks": self._blocks,
        }


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
