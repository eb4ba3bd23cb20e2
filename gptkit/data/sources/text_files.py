"""The source `text`: files of several formats as one stream of documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.data.base import Chunk, Data
from gptkit.data.readers.documents import read_documents
from gptkit.data.readers.file_discovery import file_format, find_files
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.errors import DataError
from gptkit.records import Document

if TYPE_CHECKING:
    from gptkit.data import TextConfig


class TextFiles(Data):
    """One document per .txt or .md file, per line of .jsonl and per row of .parquet, in the order of the files.

    The fingerprint depends on the files' content, order and format, and on `field` and `errors`, not on where the files lie:
    a corpus that is moved keeps it.
    """

    def __init__(self, files: Sequence[Path], *, field: str = "text", errors: str = "strict") -> None:
        """Args: field, errors: as in `gptkit.data.readers.documents.read_documents`."""
        self.files = files
        described = json.dumps(["files", field, errors, [(file_format(path), file_sha256(path)) for path in files]])
        self.sizes = [path.stat().st_size for path in files]
        self._field, self._errors = field, errors
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def chunks(self, split: str) -> Iterator[Chunk]:
        total, before, blank = sum(self.sizes), 0, True
        for path, size in zip(self.files, self.sizes, strict=True):
            for text, last, read in read_documents(path, field=self._field, errors=self._errors):
                blank = blank and (not text or text.isspace())
                yield Chunk(text, last, min(1.0, (before + read) / total))
            before += size
        if blank:
            raise DataError(f"{', '.join(map(str, self.files[:3]))}: there is no text, nothing but white space")

    def records(self, split: str) -> Iterator[Document]:
        pieces: list[str] = []
        for chunk in self.chunks(split):
            pieces.append(chunk.text)
            if chunk.is_last:
                yield Document("".join(pieces))
                pieces.clear()


class Text(TextFiles):
    """The files that `data.path` means."""

    def __init__(self, settings: TextConfig) -> None:
        """Raises: DataError: there is no such file, none that can be read, or no text in any."""
        super().__init__(find_files(settings.path), field=settings.field, errors=settings.errors)
        if not any(self.sizes):
            few = f"the file {self.files[0]} is" if len(self.files) == 1 else f"all {len(self.files)} files are"
            raise DataError(f"data.path={settings.path}: there is no text, {few} empty")
