"""Token shards: the ids of a split on disk, in files of one size that are mapped into memory.

index.json          what is here: sizes, SHA-256 and CRC-32 by block of every file, and the SHA-256 of the index itself
tokens-00000.bin    uint16 or uint32, little-endian; every document is followed by end-of-text
documents.bin       int64: where in the sequence of all tokens each document ends, its end-of-text included
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
"""Tokens in every shard but the last."""

INDEX, DOCUMENTS = "index.json", "documents.bin"

BLOCK = 1 << 20
"""Bytes that have a checksum of their own."""

SAMPLED = 64
"""Blocks that are compared whenever shards are opened, drawn anew each time; a corpus that has no more is compared whole."""


def shard_type(vocabulary: int) -> np.dtype[Any]:
    """The smallest type that holds every id of a vocabulary of this size.

    Raises:
        DataError: there is none.
    """
    if vocabulary <= 1 << 16:
        return np.dtype("<u2")
    if vocabulary <= 1 << 32:
        return np.dtype("<u4")
    raise DataError(f"a vocabulary of {vocabulary} ids does not fit the shards' widest type, uint32; choose a smaller tokenizer")


class Shards:
    """The tokens of one split: `parts` end to end are all tokens in order; `ends` (documents,) int64 is where documents end."""

    def __init__(self, parts: list[NDArray[Any]], ends: NDArray[np.int64]) -> None:
        self.parts, self.ends = parts, ends

    def __len__(self) -> int:
        """Number of tokens."""
        return sum(map(len, self.parts))


class CorruptShards(Exception):
    """Shards are there, and are not what was written: says which file, and how that is known."""


def open_shards(folder: Path, *, key: str = "", verify: bool = False) -> Shards | None:
    """The shards of a folder; None where there are none.

    The index, the ends of the documents, and every file that was touched after it was written are compared by SHA-256, the other
    tokens by a sample of their blocks.

    Args:
        key: what the shards must be of, as it was given to `ShardWriter.finish`; empty: anything.
        verify: compare every file by SHA-256.

    Raises:
        CorruptShards: they are torn, altered, or of something else.
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
        raise CorruptShards(f"{INDEX} is torn or altered") from None
    if (len(shards), len(shards.ends), int(shards.ends[-1])) != (index["tokens"], index["documents"], index["tokens"]):
        raise CorruptShards(f"{INDEX} and the files differ in the number of tokens or documents")
    return shards


def _check_index(index: dict[str, Any], key: str) -> dict[str, Any]:
    """The index, whole and of what is wanted; one that an older version wrote says neither."""
    known = index.pop("sha256", None)
    if index["format"] != FORMAT or (known is not None and known != _sha256(index)):
        raise CorruptShards(f"{INDEX} is torn or altered")
    if key and index.get("key", key) != key:
        raise CorruptShards(f"{INDEX} is that of another text or tokenizer")
    return index


def _sha256(index: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def _check_file(path: Path, file: dict[str, Any], *, whole: bool) -> None:
    status = path.stat()
    if status.st_size != file["bytes"]:
        raise CorruptShards(f"{path.name} has {status.st_size:,} bytes, and {file['bytes']:,} were written")
    if whole or status.st_mtime_ns != file["changed_ns"]:
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file["sha256"]:
                raise CorruptShards(f"{path.name} is not what was written: its SHA-256 is another")


def _check_sample(folder: Path, files: list[dict[str, Any]]) -> None:
    """Compare some blocks of the tokens; shards of an older version have no checksums by block, and are compared where few."""
    tokens = [file for file in files if file["name"] != DOCUMENTS]
    if sum(file["bytes"] for file in tokens) <= SAMPLED * BLOCK:
        for file in tokens:
            _check_file(folder / file["name"], file, whole=True)
        return
    blocks = [(file["name"], number, check) for file in tokens for number, check in enumerate(file.get("blocks", []))]
    # chance decides what is compared and nothing else: it is not the run's
    for name, number, check in random.SystemRandom().sample(blocks, min(SAMPLED, len(blocks))):
        with (folder / name).open("rb") as stream:
            stream.seek(number * BLOCK)
            if zlib.crc32(stream.read(BLOCK)) != check:
                raise CorruptShards(f"{name} is not what was written: the checksum of its block {number} is another")


def _map_file(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    """A plain array over the mapping: numpy's own subclass makes every slice several times slower."""
    return np.asarray(np.memmap(path, dtype=kind, mode="r"))


class ShardWriter:
    """Writes a new folder of shards. It is complete once `finish` has returned, and not before."""

    def __init__(self, folder: Path, *, vocabulary: int, end_of_text: int, shard_tokens: int = SHARD_TOKENS) -> None:
        self.tokens = self.documents = 0
        self._folder, self._vocabulary, self._shard_tokens = folder, vocabulary, shard_tokens
        self._type = shard_type(vocabulary)
        self._end = np.array([end_of_text], dtype=np.uint32)
        self._begin = 0  # of the document that is being written
        self._files: list[dict[str, Any]] = []
        self._shard: _HashedFile | None = None
        self._documents = _HashedFile(folder / DOCUMENTS)

    def add(self, ids: list[NDArray[np.uint32]], last: list[bool]) -> None:
        """Append pieces of documents; where `last`, the document ends and end-of-text follows. Empty documents leave no trace.

        Raises:
            DataError: an id is not below the vocabulary's size.
        """
        parts, ends = [], []
        for piece, is_last in zip(ids, last, strict=True):
            parts.append(piece)
            self.tokens += len(piece)
            if is_last and self.tokens > self._begin:
                parts.append(self._end)
                self.tokens += 1
                self._begin = self.tokens
                ends.append(self.tokens)
        tokens = np.concatenate(parts)
        if tokens.max(initial=0) >= self._vocabulary:
            raise DataError(f"the tokenizer gave id {tokens.max()}, which is not below its size {self._vocabulary}")
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
        """Write what is left, and the index; everything has reached the disk afterwards.

        Args:
            key: what the shards are of, for `open_shards`.
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
