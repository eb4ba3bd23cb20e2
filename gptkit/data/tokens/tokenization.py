"""Text to token shards, once: what has been tokenised before is found again by the fingerprints of text and tokenizer."""

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
"""Bundles being encoded at a time: while the ids of one are copied out on one core, the others encode the next."""


def tokenize_split(data: Data, split: str, tokenizer: Tokenizer, *, shard_tokens: int = SHARD_TOKENS) -> Shards:
    """The tokens of one split, read from the cache, or made and put there.

    Any number of processes may ask at once: one makes the shards, the others wait for it. A process that is killed leaves nothing
    that would be taken for shards; shards that are torn or altered are named in a warning and made again.

    Args:
        data: a source of documents.
        split: one of `data.splits`.
        tokenizer: turns text into ids.
        shard_tokens: tokens of a shard, where shards are made.

    Raises:
        DataError: the text cannot be read or holds nothing, the vocabulary does not fit, or the cache cannot be written.
    """
    key = _cache_key(data, split, tokenizer)
    folder = cache_folder() / "shards" / key
    doubt = _verify.get()
    try:
        result = open_shards(folder, key=key, verify=doubt)
        if result is not None:
            return result
    except CorruptShards:
        doubt = True  # another process may be making them again; what is there then is looked at once more, and wholly
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive_lock(folder.with_name(f"{key}.lock")) as alone:
            result = _open_cached(folder, verify=doubt)
            if result is not None:
                return result
            if alone:
                for abandoned in folder.parent.glob(f"{key}.draft-*"):
                    shutil.rmtree(abandoned, ignore_errors=True)
            return _create_shards(folder, data, split, tokenizer, shard_tokens)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"cannot keep token shards in {folder.parent} ({reason}); free space, or set GPTKIT_CACHE to a folder"
        ) from None


@contextmanager
def verify_shards(everything: bool) -> Iterator[None]:
    """Whether shards that are found in the `with` block are compared wholly with what was written, or a sample of them."""
    token = _verify.set(everything)
    try:
        yield
    finally:
        _verify.reset(token)


def write_shards(
    folder: Path, data: Data, split: str, tokenizer: Tokenizer, *, key: str = "", shard_tokens: int = SHARD_TOKENS
) -> None:
    """Tokenise a split into a folder that exists and is empty. Memory does not depend on the size of the split or its documents.

    Args:
        key: of what the shards are, for `open_shards`.

    Raises:
        DataError: the text cannot be read or holds nothing, or the vocabulary does not fit.
    """
    end_of_text = tokenizer.special["end_of_text"]
    source = batch_chunks(
        split_chunks(data.chunks(split), tokenizer.split_point), size=min(1 << 22, (1 << 18) * (os.cpu_count() or 1))
    )
    with (
        ShardWriter(folder, vocabulary=tokenizer.size, end_of_text=end_of_text, shard_tokens=shard_tokens) as writer,
        Progress(f"tokenising {split}") as progress,
    ):
        for batch, ids in _encode_batches(source, tokenizer):
            writer.add(ids, batch.is_last)
            progress.show(batch.progress, f"{writer.tokens:,} tokens")
        if not writer.tokens:
            raise DataError(f"the corpus is empty: the {split} split holds no text")
        writer.finish(key)


def _open_cached(folder: Path, *, verify: bool = False) -> Shards | None:
    """The shards of a folder of the cache; None where they have to be made, with a warning where they were harmed."""
    try:
        return open_shards(folder, key=folder.name, verify=verify)
    except CorruptShards as error:
        _log.warning("the token shards in %s are made again: %s", folder, error)
        return None


def _cache_key(data: Data, split: str, tokenizer: Tokenizer) -> str:
    from gptkit.tokenizer.base import fingerprint_of

    return fingerprint_of(f"shards {FORMAT}", data.fingerprint, split, tokenizer.fingerprint)


def _encode_batches(source: Iterator[ChunkBatch], tokenizer: Tokenizer) -> Iterator[tuple[ChunkBatch, list[NDArray[np.uint32]]]]:
    """Bundles with their ids, in order; the next ones are read and encoded meanwhile."""
    waiting: deque[tuple[ChunkBatch, Future[list[NDArray[np.uint32]]]]] = deque()
    with ThreadPoolExecutor(CONCURRENT_BATCHES) as pool:
        for batch in source:
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
        if folder.exists():  # torn or altered
            shutil.rmtree(folder, ignore_errors=True)
        try:
            draft.rename(folder)
        except OSError:  # where there are no locks, another process may have been first; its shards are the same
            if not folder.exists():
                raise
        made = _open_cached(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if made is None:
        raise DataError(f"the token shards in {folder} cannot be read back; check the disk, or set GPTKIT_CACHE to another folder")
    return made


@contextmanager
def _exclusive_lock(lock: Path) -> Iterator[bool]:
    """Wait until no other process is in here; False where the file system has no locks. A killed process frees its lock."""
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
