"""The source `rows`: rows of files with any columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gptkit.data.base import Chunk, Data
from gptkit.data.readers.file_discovery import file_format, find_splits
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.tables import TABLES, read_objects
from gptkit.errors import DataError
from gptkit.records import Row

if TYPE_CHECKING:
    from gptkit.data.evaluation_config import RowsConfig


class Rows(Data):
    """The rows of the files of `data.path`, `data.validation` and `data.test`.

    Read as text, a row is one document of all its texts. The fingerprint depends on the content, order and format of the files,
    not on their location.
    """

    def __init__(self, settings: RowsConfig) -> None:
        """Raises: DataError: a file cannot be read, no file has a supported format, or a file is in two splits."""
        self._errors = settings.errors
        self.files = find_splits(settings.path, settings.validation, settings.test, forms=TABLES)
        self.splits = tuple(self.files)
        content = {split: [(file_format(path, TABLES), file_sha256(path)) for path in files] for split, files in self.files.items()}
        self.fingerprint = hashlib.sha256(json.dumps([settings.name, self._errors, content]).encode()).hexdigest()

    def records(self, split: str) -> Iterator[Row]:
        """Yield the rows of a split.

        Raises:
            DataError: a file cannot be read or does not have its format, or the split has no row. The message names the file and
                the line.
        """
        is_empty = True
        for path in self.files[split]:
            for where, fields in read_objects(path, errors=self._errors):
                is_empty = False
                yield Row(fields, where)
        if is_empty:
            raise DataError(f"{', '.join(map(str, self.files[split][:3]))}: there is no row for the {split} split")

    def chunks(self, split: str) -> Iterator[Chunk]:
        for row in self.records(split):
            yield Chunk("\n".join(_texts_within(list(row.fields.values()))), is_last=True)


def _texts_within(cell: Any) -> Iterator[str]:
    """Yield the texts of a cell, also those within lists and mappings."""
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, list | dict):
        for each in cell.values() if isinstance(cell, dict) else cell:
            yield from _texts_within(each)
