"""The source `labelled`: the user's own examples, from tables with named columns."""

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
    """The examples of the files that `data.path`, `data.validation` and `data.test` mean.

    The fingerprint depends on the files' content, order and format and on the columns, not on where the files lie.
    """

    def __init__(self, settings: LabelledConfig) -> None:
        """Raises: DataError: there is no such file, none that can be read, or one is in two splits."""
        self.columns = settings.example_columns()
        self._errors = settings.errors
        self.files = find_splits(settings.path, settings.validation, settings.test, forms=TABLES)
        self.splits = tuple(self.files)
        content = {split: [(file_format(path, TABLES), file_sha256(path)) for path in files] for split, files in self.files.items()}
        described = json.dumps(
            [
                "labelled",
                list(self.columns.names().items()),
                self.columns.first_option,
                self.columns.label_means,
                self._errors,
                content,
            ]
        )
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Raises: DataError: see `read_examples`; also where the split has no example."""
        empty = True
        for example in read_examples(self.files[split], self.columns, errors=self._errors):
            empty = False
            yield example
        if empty:
            raise DataError(f"{', '.join(map(str, self.files[split]))}: there is no example for the {split} split")
