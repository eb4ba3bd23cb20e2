"""The source `mmlu`: exams of many subjects with lettered options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.data.base import LabelledData
from gptkit.data.readers.csv_files import read_csv
from gptkit.data.readers.file_discovery import file_format, find_files
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.errors import DataError
from gptkit.records import Example
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.data.evaluation_config import MMLUConfig

FOLDERS = {"train": "dev", "validation": "val", "test": "test"}
"""The folder of each split, whose name also ends the names of its files."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class MMLU(LabelledData):
    """The questions of all files of a split, subject by subject. Their group is the subject, in words."""

    def __init__(self, settings: MMLUConfig) -> None:
        """Raises: DataError: a file does not exist or cannot be read, or there is no .csv file."""
        self._errors = settings.errors
        self.files = _find_splits(settings)
        self.splits = tuple(self.files)
        content = {split: [(_subject(path), file_sha256(path)) for path in files] for split, files in self.files.items()}
        self.fingerprint = hashlib.sha256(json.dumps([settings.name, self._errors, content]).encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Yield the questions of a split.

        Raises:
            DataError: there is no such split, or a row is malformed. The message names the file and the line.
        """
        if split not in self.files:
            raise DataError(
                f"there is no folder {FOLDERS[split]} beside {', '.join(FOLDERS[other] for other in self.files)}, for examples in "
                "context; set fewshot.path=<folder>, or remove fewshot.k"
            )
        is_empty = True
        for path in self.files[split]:
            for example in _read(path, errors=self._errors):
                is_empty = False
                yield example
        if is_empty:
            raise DataError(f"{', '.join(map(str, self.files[split][:3]))}: there is no question")


def _find_splits(settings: MMLUConfig) -> dict[str, list[Path]]:
    if isinstance(settings.path, str):
        folder = expand_path(settings.path)
        splits = {
            split: find_files(str(folder / name), forms=(".csv",)) for split, name in FOLDERS.items() if (folder / name).is_dir()
        }
        if splits:
            return splits
    return {"train": find_files(settings.path, forms=(".csv",))}


def _subject(path: Path) -> str:
    name = path.name[: path.name.lower().rindex(file_format(path, (".csv",)) or "")]
    for folder in FOLDERS.values():
        name = name.removesuffix(f"_{folder}")
    return name.replace("_", " ")


def _read(path: Path, *, errors: str) -> Iterator[Example]:
    subject = _subject(path)
    for number, (where, row) in enumerate(read_csv(path, ".csv", errors=errors)):
        if number == 0 and row[0].strip().lower() == "question" and row[-1].strip().lower() == "answer":
            continue
        question, *options, answer = row
        if len(options) < 2 or len(options) > len(LETTERS):
            raise DataError(
                f"{where}: the row has {len(row)} cells; it must have a question, two or more options, and the right letter"
            )
        if not question.strip():
            raise DataError(f"{where}: the question is empty")
        yield Example(
            question, _right_option(answer.strip(), len(options), where), options=tuple(options), where=where, group=subject
        )


def _right_option(answer: str, options: int, where: str) -> int:
    letters = LETTERS[:options]
    if answer and answer in letters and len(answer) == 1:
        return letters.index(answer)
    if answer.isdecimal() and int(answer) < options:
        return int(answer)
    raise DataError(f"{where}: the answer is {answer[:40]!r}; it must be a letter from A to {letters[-1]}, or a number from 0")
