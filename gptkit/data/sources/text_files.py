"""The source `text`: documents from files of several formats."""

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
    """One document per .txt or .md file, line of .jsonl and row of .parquet, in the order of the files.

    The fingerprint depends on the content, order and format of the files, on `field` and on `errors`, not on the location of the
    files: a corpus that is moved keeps it.
    """

    def __init__(self, files: Sequence[Path], *, field: str = "text", errors: str = "strict") -> None:
        """Args:
        files: the files, in order.
        field: see `gptkit.data.readers.documents.read_documents`.
        errors: see there.
        """
        self.files = files
        content_key = json.dumps(["files", field, errors, [(file_format(path), file_sha256(path)) for path in files]])
        self.sizes = [path.stat().st_size for path in files]
        self._field, self._errors = field, errors
        self.fingerprint = hashlib.sha256(content_key.encode()).hexdigest()

    def chunks(self, split: str) -> Iterator[Chunk]:
        total, previous, is_blank = sum(self.sizes), 0, True
        for path, size in zip(self.files, self.sizes, strict=True):
            for text, is_last, read in read_documents(path, field=self._field, errors=self._errors):
                is_blank = is_blank and (not text or text.isspace())
                yield Chunk(text, is_last, min(1.0, (previous + read) / total))
            previous += size
        if is_blank:
            raise DataError(f"{', '.join(map(str, self.files[:3]))}: there is no text, only white space")

    def records(self, split: str) -> Iterator[Document]:
        texts: list[str] = []
        for chunk in self.chunks(split):
            texts.append(chunk.text)
            if chunk.is_last:
                yield Document("".join(texts))
                texts.clear()


class Text(TextFiles):
    """The documents of the files of `data.path`."""

    def __init__(self, settings: TextConfig) -> None:
        """Find the files and compute the fingerprint.

        Raises:
            DataError: a file does not exist or cannot be read, no file has a supported format, or all files are empty.
        """
        super().__init__(find_files(settings.path), field=settings.field, errors=settings.errors)
        if not any(self.sizes):
            subject = f"the file {self.files[0]} is" if len(self.files) == 1 else f"all {len(self.files)} files are"
            raise DataError(f"data.path={settings.path}: there is no text, {subject} empty")
