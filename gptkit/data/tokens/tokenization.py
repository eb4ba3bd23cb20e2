"""Tokenisation of text to shards, which are cached by the fingerprints of the text and the tokenizer."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gptkit.data.base import Data
from gptkit.data.progress import Progress
from gptkit.data.readers.file_hashes import cache_folder
from gptkit.data.tokens.document_chunks import ChunkBatch, batch_chunks, split_chunks
from gptkit.data.tokens.shards import FORMAT, SHARD_TOKENS, CorruptShards, Shards, ShardWriter, open_shards
from gptkit.errors import DataError

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer

_log = logging.getLogger("gptkit")

_verify: ContextVar[bool] = ContextVar("verify", default=False)

CONCURRENT_BATCHES = 2
"""Batches that are encoded at the same time: while one core copies the ids of a batch, the others encode the next one."""


def tokenize_split(data: Data, split: str, tokenizer: Tokenizer, *, shard_tokens: int = SHARD_TOKENS) -> Shards:
    """Return the tokens of a split from the cache; tokenises the split if it is not cached.

    Any number of processes may call this at once: one writes the shards, the others wait for it. A killed process leaves no
    incomplete shards behind. If shards are incomplete or altered, a warning is logged and they are written again.

    Args:
        data: a source of documents.
        split: one of `data.splits`.
        tokenizer: encodes the text.
        shard_tokens: tokens per shard, if shards are written.

    Raises:
        DataError: the text cannot be read or is empty, the vocabulary is too large, or the cache cannot be written.
    """
    key = _cache_key(data, split, tokenizer)
    folder = cache_folder() / "shards" / key
    verify = _verify.get()
    try:
        result = open_shards(folder, key=key, verify=verify)
        if result is not None:
            return result
    except CorruptShards:
        verify = True  # another process may be writing them again; check all of them once it has finished
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive_lock(folder.with_name(f"{key}.lock")) as is_exclusive:
            result = _open_cached(folder, verify=verify)
            if result is not None:
                return result
            if is_exclusive:
                for draft in folder.parent.glob(f"{key}.draft-*"):
                    shutil.rmtree(draft, ignore_errors=True)
            return _create_shards(folder, data, split, tokenizer, shard_tokens)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cannot write token shards to {folder.parent} ({reason}); free disk space, or set GPTKIT_CACHE to another folder"
        ) from None


@contextmanager
def verify_shards(enabled: bool) -> Iterator[None]:
    """Set whether shards that are opened in the `with` block are checked completely, or by random blocks."""
    token = _verify.set(enabled)
    try:
        yield
    finally:
        _verify.reset(token)


def write_shards(
    folder: Path, data: Data, split: str, tokenizer: Tokenizer, *, key: str = "", shard_tokens: int = SHARD_TOKENS
) -> None:
    """Tokenise a split into an existing, empty folder. Memory does not depend on the size of the split or of its documents.

    Args:
        folder: the folder of the shards.
        data: a source of documents.
        split: one of `data.splits`.
        tokenizer: encodes the text.
        key: identifies the text and the tokenizer, for `open_shards`.
        shard_tokens: tokens per shard.

    Raises:
        DataError: the text cannot be read or is empty, or the vocabulary is too large.
    """
    end_of_text = tokenizer.special["end_of_text"]
    batches = batch_chunks(
        split_chunks(data.chunks(split), tokenizer.split_point), size=min(1 << 22, (1 << 18) * (os.cpu_count() or 1))
    )
    with (
        ShardWriter(folder, vocabulary=tokenizer.size, end_of_text=end_of_text, shard_tokens=shard_tokens) as writer,
        Progress(f"tokenising {split}") as progress,
    ):
        for batch, ids in _encode_batches(batches, tokenizer):
            writer.add(ids, batch.is_last)
            progress.show(batch.progress, f"{writer.tokens:,} tokens")
        if not writer.tokens:
            raise DataError(f"the corpus is empty: the {split} split contains no text")
        writer.finish(key)


def _open_cached(folder: Path, *, verify: bool = False) -> Shards | None:
    """Open the shards of a folder of the cache; return None if there are none, or with a warning if they are corrupt."""
    try:
        return open_shards(folder, key=folder.name, verify=verify)
    except CorruptShards as error:
        _log.warning("the token shards in %s are written again: %s", folder, error)
        return None


def _cache_key(data: Data, split: str, tokenizer: Tokenizer) -> str:
    from gptkit.tokenizer.base import fingerprint_of

    return fingerprint_of(f"shards {FORMAT}", data.fingerprint, split, tokenizer.fingerprint)


def _encode_batches(batches: Iterator[ChunkBatch], tokenizer: Tokenizer) -> Iterator[tuple[ChunkBatch, list[NDArray[np.uint32]]]]:
    """Yield batches with their ids, in order, while the next batches are read and encoded."""
    waiting: deque[tuple[ChunkBatch, Future[list[NDArray[np.uint32]]]]] = deque()
    with ThreadPoolExecutor(CONCURRENT_BATCHES) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(tokenizer.encode_batch, batch.texts)))
            if len(waiting) > CONCURRENT_BATCHES:
                first, ids = waiting.popleft()
                yield first, ids.result()
        while waiting:
            first, ids = waiting.popleft()
            yield first, ids.result()


def _create_shards(folder: Path, data: Data, split: str, tokenizer: Tokenizer, shard_tokens: int) -> Shards:
    draft = folder.with_name(f"{folder.name}.draft-{uuid.uuid4().hex}")
    draft.mkdir()
    try:
        write_shards(draft, data, split, tokenizer, key=folder.name, shard_tokens=shard_tokens)
        if folder.exists():  # incomplete or altered
            shutil.rmtree(folder, ignore_errors=True)
        try:
            draft.rename(folder)
        except OSError:  # without locks, another process may have finished first, with the same shards
            if not folder.exists():
                raise
        shards = _open_cached(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if shards is None:
        raise DataError(f"the token shards in {folder} cannot be read back; check the disk, or set GPTKIT_CACHE to another folder")
    return shards


@contextmanager
def _exclusive_lock(lock: Path) -> Iterator[bool]:
    """Hold an exclusive lock, which is released if the process is killed. Yields False if the file system has no locks."""
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
