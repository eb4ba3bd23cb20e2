"""Token shards: the ids of a split on disk, in files of one size that are mapped into memory.

index.json          what is here: sizes and SHA-256 of every file
tokens-00000.bin    uint16 or uint32, little-endian; every document is followed by end-of-text
documents.bin       int64: where in the sequence of all tokens each document ends, its end-of-text included
"""

from __future__ import annotations

import hashlib
import json
import os
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


def open_shards(folder: Path) -> Shards | None:
    """The shards of a folder; None where there are none, or they are not what was written.

    A file whose size and time of change are those of the index is trusted, any other is read and compared by SHA-256.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT or not all(_unharmed(folder / file["name"], file) for file in index["files"]):
            return None
        *tokens, documents = (folder / file["name"] for file in index["files"])
        parts = [_mapped(path, np.dtype(index["type"])) for path in tokens]
        return Shards(parts, _mapped(documents, np.dtype("<i8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unharmed(path: Path, file: dict[str, Any]) -> bool:
    status = path.stat()
    if status.st_size != file["bytes"]:
        return False
    if status.st_mtime_ns == file["changed_ns"]:
        return True
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == str(file["sha256"])


def _mapped(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
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

    def finish(self) -> None:
        """Write what is left, and the index; everything has reached the disk afterwards."""
        if self._shard is not None:
            self._files.append(self._shard.finish())
        self._files.append(self._documents.finish())
        index = {"format": FORMAT, "type": self._type.str, "tokens": self.tokens, "documents": self.documents, "files": self._files}
        with (self._folder / INDEX).open("w", encoding="utf-8") as file:
            json.dump(index, file, indent=1)
            _to_disk(file)


class _HashedFile:
    def __init__(self, path: Path) -> None:
        self._path, self._file, self._hash, self.bytes = path, path.open("wb"), hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)

    def close(self) -> None:
        self._file.close()

    def finish(self) -> dict[str, Any]:
        with self._file:
            _to_disk(self._file)
        changed = self._path.stat().st_mtime_ns
        return {"name": self._path.name, "bytes": self.bytes, "sha256": self._hash.hexdigest(), "changed_ns": changed}


def _to_disk(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
