"""The index of the word N-grams of a training text, on disk.

index.json        what was indexed, with fingerprints; sizes and SHA-256 of the files; the SHA-256 of index.json itself
words.txt         the normalised words of the training documents, UTF-8: one document per line
documents.bin     a `DOCUMENT` per line of words.txt
hashes-8.bin      uint64: the hashes of all 8-grams, sorted
positions-8.bin   uint64: the position in words.txt, in bytes, of the N-gram of each hash
"""

from __future__ import annotations

import hashlib
import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import ConfigError, DataError
from gptkit.kit_files import MIB, DamagedFile, read_json

FORMAT = 1
INDEX, WORDS, DOCUMENTS = "index.json", "words.txt", "documents.bin"

DOCUMENT = np.dtype([("text", "<u8"), ("component", "<i8"), ("number", "<i8"), ("first_token", "<i8"), ("end_token", "<i8")])
"""The position of a document in words.txt, in bytes; the number of its component; its own number there; the range of its tokens."""


@dataclass(frozen=True)
class TrainingDocument:
    """Where a document of the training text is: a record or a range of tokens of a data source of the run."""

    source: str
    """The key of the source in the settings of the run, such as `data` or `data.sources.speeches`."""
    number: int
    """Its number in the training split of the source, from 0."""
    tokens: tuple[int, int] | None
    """The half-open range of its tokens in the token shards of the run; None if the run trains on records."""

    def __str__(self) -> str:
        tokens = "" if self.tokens is None else f" (tokens {self.tokens[0]:,} to {self.tokens[1]:,})"
        return f"document {self.number:,} of {self.source}{tokens}"


class NgramIndex:
    """An index that is mapped into memory. Opening it reads no N-grams."""

    def __init__(self, folder: Path) -> None:
        """Open an index.

        Raises:
            ConfigError: the folder contains no index.
            DataError: the index is incomplete or altered.
        """
        self.folder = folder
        try:
            self.content = read_description(folder)
        except FileNotFoundError:
            raise ConfigError(f"{folder} contains no index; build one: gptkit index <run> to={folder}") from None
        for name, file in self.content["files"].items():
            size = (folder / name).stat().st_size if (folder / name).is_file() else -1
            if size != file["bytes"]:
                problem = "is missing" if size < 0 else f"has {size:,} bytes instead of {file['bytes']:,}"
                raise DataError(f"{folder / name} {problem}; remove {folder} and build the index again")
        self.n: tuple[int, ...] = tuple(self.content["n"])
        self.bits: int = self.content["hash_bits"]
        with (folder / WORDS).open("rb") as file:
            self.words = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.documents = _map(folder / DOCUMENTS, DOCUMENT)
        self._starts = np.ascontiguousarray(self.documents["text"])
        self._entries = {
            n: (_map(folder / f"hashes-{n}.bin", np.dtype("<u8")), _map(folder / f"positions-{n}.bin", np.dtype("<u8")))
            for n in self.n
        }

    def entries(self, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the sorted hashes of all N-grams, and their positions in `words`.

        Raises:
            ConfigError: the index has no N-grams of this length.
        """
        if n not in self._entries:
            have = " and ".join(map(str, self.n))
            raise ConfigError(f"{self.folder} has no {n}-grams, only N = {have}; build an index with n={n}")
        return self._entries[n]

    def document_at(self, position: int) -> int:
        """Return the line of words.txt, from 0, that contains a position in bytes."""
        return int(self._starts.searchsorted(np.uint64(position), side="right")) - 1

    def document(self, line: int) -> TrainingDocument:
        """Return where the document of a line of words.txt is in the training data."""
        _, component, number, first, end = self.documents[line].item()
        return TrainingDocument(self.content["components"][component], number, None if first < 0 else (first, end))

    def document_words(self, line: int) -> str:
        """Return the normalised words of a document, separated by spaces."""
        begin = int(self._starts[line])
        return self.words[begin : self.words.find(b"\n", begin)].decode()


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of index.json.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is damaged, or has another format.
    """
    path = folder / INDEX
    try:
        content = read_json(path, limit=MIB)
        if content.pop("sha256") != _sha256(content):
            raise DamagedFile("is altered")
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except (DamagedFile, KeyError, AttributeError, TypeError) as error:
        problem = str(error) if isinstance(error, DamagedFile) else "is not the description of an index"
        raise DataError(f"{path} {problem}; remove {folder} and build the index again") from None
    if content["format"] != FORMAT:
        raise DataError(f"{path} has format {content['format']}, but this version reads format {FORMAT}; build the index again")
    return dict(content)


def write_description(folder: Path, content: dict[str, Any]) -> None:
    """Write index.json."""
    text = json.dumps({**content, "sha256": _sha256(content)}, indent=1, ensure_ascii=False)
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _map(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    return np.asarray(np.memmap(path, dtype=kind, mode="r"))
