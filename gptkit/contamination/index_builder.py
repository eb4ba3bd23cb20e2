"""Builds the index of the N-grams of a training text, with memory that does not depend on the size of the text.

The folder is written under another name and renamed when it is complete, so that a killed process leaves no incomplete index.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gptkit.atomic_io import WRITING, remove_path, replace_folder, sync_tree, try_lock
from gptkit.contamination.index import DOCUMENT, DOCUMENTS, FORMAT, INDEX, WORDS, NgramIndex, write_description
from gptkit.contamination.planted_passages import measure_recall
from gptkit.contamination.sorted_runs import MERGED_ENTRIES, RUN_ENTRIES, SortedRuns
from gptkit.contamination.training_documents import DocumentPart
from gptkit.data.ngrams.ngram_hashes import HASH_BITS, WordHasher, ngram_hashes
from gptkit.data.ngrams.normalization import normalized_words
from gptkit.data.progress import Progress
from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer.base import utf8

BATCH_WORDS = 1 << 18
"""Words whose N-grams are hashed at once."""


def build_index(
    folder: Path,
    parts: Iterable[DocumentPart],
    *,
    n: Sequence[int],
    description: dict[str, Any],
    components: int = 1,
    bits: int = HASH_BITS,
    run_entries: int = RUN_ENTRIES,
    merged_entries: int = MERGED_ENTRIES,
) -> NgramIndex:
    """Write the index of documents to a new or empty folder, and open it.

    Args:
        folder: the folder.
        parts: the documents.
        n: the lengths of N-grams.
        description: what is indexed, for index.json.
        components: the number of components that `parts` come from, for the progress.
        bits: bits of a hash.
        run_entries: entries that are sorted in memory.
        merged_entries: entries that are merged at once.

    Raises:
        ConfigError: another process writes the index.
        DataError: the documents cannot be read, no document has an N-gram, or the folder cannot be written.
    """
    draft = folder.with_name(f"{WRITING}{folder.name}")
    try:
        with _exclusive_folder(draft):
            try:
                _write_index(draft, parts, n, description, components, bits, run_entries, merged_entries)
                sync_tree(draft)
                if folder.is_dir() and not folder.is_symlink():
                    folder.rmdir()  # it is empty
                replace_folder(draft, folder)
            except BaseException:
                remove_path(draft)
                raise
    except OSError as error:
        raise DataError(f"to={folder}: cannot be written ({error.strerror or error})") from None
    return NgramIndex(folder)


@contextmanager
def _exclusive_folder(draft: Path) -> Iterator[None]:
    """Create an empty folder, and keep other processes from writing to it. What a killed process left in it is removed."""
    draft.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        if not try_lock(descriptor):
            target = draft.with_name(draft.name.removeprefix(WRITING))
            raise ConfigError(f"to={target}: another process is writing this index; wait until it has finished")
        for path in draft.iterdir():
            remove_path(path)
        yield
    finally:
        os.close(descriptor)


def _write_index(
    folder: Path,
    parts: Iterable[DocumentPart],
    n: Sequence[int],
    description: dict[str, Any],
    components: int,
    bits: int,
    run_entries: int,
    merged_entries: int,
) -> None:
    runs = {length: SortedRuns(folder / f"runs-{length}", run_entries=run_entries, merged_entries=merged_entries) for length in n}
    with (folder / WORDS).open("wb") as words_file, (folder / DOCUMENTS).open("wb") as documents_file:
        writer = _DocumentWriter(words_file, documents_file, runs, bits)
        with Progress("reading the training text") as progress:
            for part in parts:
                writer.add(part)
                share = None if part.progress is None else (part.component + part.progress) / components
                progress.show(share, f"{writer.words:,} words")
        writer.finish()
    for length, sorted_runs in runs.items():
        if not sorted_runs.entries:
            raise DataError(f"n={length}: no training document has {length} words; choose a smaller n")
        with Progress(f"sorting the {length}-grams") as progress:
            hashes, positions = folder / f"hashes-{length}.bin", folder / f"positions-{length}.bin"
            for share in sorted_runs.merge(hashes, positions):
                progress.show(share, f"{sorted_runs.entries:,} N-grams")
    names = [WORDS, DOCUMENTS, *(f"{column}-{length}.bin" for length in n for column in ("hashes", "positions"))]
    content = {
        "format": FORMAT,
        **description,
        "n": list(n),
        "hash_bits": bits,
        "documents": writer.documents,
        "words": writer.words,
        "ngrams": {str(length): sorted_runs.entries for length, sorted_runs in runs.items()},
        "files": {name: {"bytes": (folder / name).stat().st_size, "sha256": _file_sha256(folder / name)} for name in names},
    }
    write_description(folder, content)
    content["planted"] = {str(length): measure_recall(NgramIndex(folder), length) for length in n}
    (folder / INDEX).unlink()
    write_description(folder, content)


class _DocumentWriter:
    """Writes the words of documents, and collects their N-grams."""

    def __init__(self, words_file: IO[bytes], documents_file: IO[bytes], runs: dict[int, SortedRuns], bits: int) -> None:
        self.words = self.documents = 0
        self._words_file, self._documents_file, self._runs, self._bits = words_file, documents_file, runs, bits
        self._hasher = WordHasher()
        self._position = 0  # bytes written to words.txt
        self._pending_text = ""  # the beginning of a word that the next part may continue
        self._has_words = False  # whether the current document has words
        # words whose N-grams are not complete: hashes, positions and line numbers
        self._kept = (np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64))
        self._batch: list[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]] = []
        self._batch_words = 0

    def add(self, part: DocumentPart) -> None:
        text = self._pending_text + part.text
        if part.is_last:
            self._pending_text = ""
        else:
            text, self._pending_text = _split_after_last_word(text)
        self._add_words(normalized_words(text), part)
        if part.is_last and self._has_words:
            self._words_file.write(b"\n")
            self._position += 1
            self.documents += 1
            self._has_words = False

    def _add_words(self, words: list[str], part: DocumentPart) -> None:
        if not words:
            return
        if self._has_words:
            self._words_file.write(b" ")
            self._position += 1
        else:
            self._documents_file.write(np.array((self._position, part.component, part.number, *part.tokens), DOCUMENT).tobytes())
            self._has_words = True
        joined = " ".join(words)
        encoded = utf8(joined)
        sizes = words if len(encoded) == len(joined) else [word.encode() for word in words]
        ends = np.cumsum(np.fromiter(map(len, sizes), dtype=np.uint64, count=len(words)) + np.uint64(1))
        positions = np.concatenate([np.zeros(1, np.uint64), ends[:-1]]) + np.uint64(self._position)
        self._words_file.write(encoded)
        self._position += len(encoded)
        self.words += len(words)
        self._batch.append((self._hasher(words), positions, np.full(len(words), self.documents)))
        self._batch_words += len(words)
        if self._batch_words >= BATCH_WORDS:
            self.finish()

    def finish(self) -> None:
        """Hash the N-grams of all words that were added, and keep the last words, which the next N-grams may begin with."""
        first_new = len(self._kept[0])
        hashes, positions, lines = (np.concatenate(columns) for columns in zip(self._kept, *self._batch, strict=True))
        for length, runs in self._runs.items():
            begin = max(0, first_new - length + 1)  # earlier N-grams are complete without the new words
            ngrams = ngram_hashes(hashes[begin:], length, bits=self._bits)
            is_inside = lines[begin : begin + len(ngrams)] == lines[begin + length - 1 :][: len(ngrams)]
            runs.add(ngrams[is_inside], positions[begin : begin + len(ngrams)][is_inside])
        kept = max(self._runs) - 1
        self._kept = (hashes[-kept:], positions[-kept:], lines[-kept:])
        self._batch, self._batch_words = [], 0


def _split_after_last_word(text: str) -> tuple[str, str]:
    """Split a text at its last white space, since the next text may continue its last word."""
    words = text.rsplit(maxsplit=1)
    if not words or text[-1].isspace():
        return text, ""
    return text[: len(text) - len(words[-1])], words[-1]


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
