"""The source `labelled`: labelled examples from tables of the user, with named columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gptkit.data.base import LabelledData
from gptkit.data.parsing.examples import read_examples
from gptkit.data.readers.file_discovery import file_format, find_splits
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.tables import TABLES
from gptkit.errors import DataError
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data import LabelledConfig


class Labelled(LabelledData):
    """The examples of the files of `data.path`, `data.validation` and `data.test`.

    The fingerprint depends on the content, order and format of the files and on the columns, not on the location of the files.
    """

    def __init__(self, settings: LabelledConfig) -> None:
        """Find the files and compute the fingerprint.

        Raises:
            DataError: a file does not exist or cannot be read, no file has a supported format, or a file is in two splits.
        """
        self.columns = settings.example_columns()
        self._errors = settings.errors
        self.files = find_splits(settings.path, settings.validation, settings.test, forms=TABLES)
        self.splits = tuple(self.files)
        content = {split: [(file_format(path, TABLES), file_sha256(path)) for path in files] for split, files in self.files.items()}
        content_key = json.dumps(
            [
                "labelled",
                list(self.columns.names().items()),
                self.columns.first_option,
                self.columns.label_means,
                self._errors,
                content,
            ]
        )
        self.fingerprint = hashlib.sha256(content_key.encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Yield the examples of a split.

        Raises:
            DataError: see `read_examples`; also if the split has no example.
        """
        is_empty = True
        for example in read_examples(self.files[split], self.columns, errors=self._errors):
            is_empty = False
            yield example
        if is_empty:
            raise DataError(f"{', '.join(map(str, self.files[split]))}: there is no example for the {split} split")
