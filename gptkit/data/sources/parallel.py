"""The source `parallel`: sentences and their translations."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.data.base import LabelledData
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.text_lines import read_lines
from gptkit.errors import DataError
from gptkit.records import Example
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.data.evaluation_config import ParallelConfig


class Parallel(LabelledData):
    """The text of an example is a sentence, and its label and only option the translation."""

    def __init__(self, settings: ParallelConfig) -> None:
        """Raises: DataError: a file cannot be read."""
        self._errors, self._is_reversed = settings.errors, settings.reverse
        self.files = [expand_path(path) for path in (settings.path, settings.target) if path is not None]
        content = [settings.name, self._errors, self._is_reversed, [file_sha256(path) for path in self.files]]
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Yield the sentences. Lines that are empty in both languages are skipped.

        Raises:
            DataError: the files have different numbers of lines, or a sentence has no translation. The message names the line.
        """
        is_empty = True
        for where, source, target in _columns(self.files[0], self._errors) if len(self.files) == 1 else self._lines():
            if not source and not target:
                continue
            if not source or not target:
                raise DataError(f"{where}: the {'sentence' if not source else 'translation'} is empty")
            is_empty = False
            text, translation = (target, source) if self._is_reversed else (source, target)
            yield Example(text, translation, options=(translation,), where=where)
        if is_empty:
            raise DataError(f"{self.files[0]}: there is no sentence")

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        source, target = self.files
        for one, other in itertools.zip_longest(read_lines(source, errors=self._errors), read_lines(target, errors=self._errors)):
            if one is None or other is None:
                shorter, longer = (source, target) if one is None else (target, source)
                raise DataError(
                    f"{shorter} has fewer lines than {longer}; line n of one must be the translation of line n of the other"
                )
            yield f"{source}:{one[0]}", one[1].strip(), other[1].strip()


def _columns(path: Path, errors: str) -> Iterator[tuple[str, str, str]]:
    for number, line, _ in read_lines(path, errors=errors):
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != 2 and line.strip():
            raise DataError(
                f"{path}:{number}: the line has {len(cells)} cells; it must have a sentence, a tab and its translation. For two "
                "files, set data.target"
            )
        yield f"{path}:{number}", cells[0].strip(), cells[-1].strip()
