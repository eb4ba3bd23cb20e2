"""The sources `choices`, `cloze` and `answers`: published evaluation sets, one question per row."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.data.base import LabelledData
from gptkit.data.readers.file_discovery import file_format, find_files
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.tables import OBJECTS, read_objects
from gptkit.errors import DataError, did_you_mean
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data.evaluation_config import AnswersConfig, ChoicesConfig, ClozeConfig, EvaluationFilesConfig

BLANK = "_"


class EvaluationFiles(LabelledData):
    """Files of examples. The fingerprint does not depend on the location of the files."""

    formats: tuple[str, ...] = OBJECTS

    def __init__(self, settings: EvaluationFilesConfig) -> None:
        """Raises: DataError: a file does not exist or cannot be read, or no file has a supported format."""
        self.files = find_files(settings.path, forms=self.formats)
        self.errors = settings.errors
        content = [(file_format(path, self.formats), file_sha256(path)) for path in self.files]
        self.fingerprint = hashlib.sha256(json.dumps([settings.name, self.errors, content]).encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Yield the examples of all files.

        Raises:
            DataError: a file cannot be read, or a row is malformed or incomplete. The message names the file and the line.
        """
        is_empty = True
        for path in self.files:
            for example in self.read(path):
                is_empty = False
                yield example
        if is_empty:
            raise DataError(f"{', '.join(map(str, self.files[:3]))}: there is no example")

    @abstractmethod
    def read(self, path: Path) -> Iterator[Example]:
        """Yield the examples of a file."""


class EvaluationRows(EvaluationFiles):
    """Files with one example per row."""

    def read(self, path: Path) -> Iterator[Example]:
        for where, row in read_objects(path, errors=self.errors):
            yield self.example(where, row)

    @abstractmethod
    def example(self, where: str, row: dict[str, Any]) -> Example:
        """Return the example of a row."""


class Choices(EvaluationRows):
    """Multiple choice questions."""

    def __init__(self, settings: ChoicesConfig) -> None:
        super().__init__(settings)

    def example(self, where: str, row: dict[str, Any]) -> Example:
        if "context_options" in row:
            options = _texts(where, "context_options", row)
            text = f"{BLANK} {_text(where, 'continuation', row)}"
        elif "stem" in row:
            return _analogy(where, row)
        else:
            text, options = _text(where, "query", row), _texts(where, "choices", row)
        explanation = _text(where, "explanation", row) if row.get("explanation") else ""
        return Example(text, _gold(where, row, len(options)), options=options, where=where, explanation=explanation)


class Cloze(EvaluationRows):
    """Texts whose end is to be predicted."""

    def __init__(self, settings: ClozeConfig) -> None:
        super().__init__(settings)

    def example(self, where: str, row: dict[str, Any]) -> Example:
        if "text" in row and "continuation" not in row:
            context, _, continuation = _text(where, "text", row).rstrip().rpartition(" ")
            if not context.strip():
                raise DataError(f"{where}: text has one word; the last word is predicted from the words before it")
            return Example(context, continuation, where=where)
        if "article" in row:
            return Example(_text(where, "article", row), _text(where, "highlights", row), where=where)
        return Example(_text(where, "context", row), _text(where, "continuation", row), where=where)


class Answers(EvaluationRows):
    """Questions with one or several accepted answers."""

    def __init__(self, settings: AnswersConfig) -> None:
        super().__init__(settings)

    def example(self, where: str, row: dict[str, Any]) -> Example:
        text, cell = _text(where, "query", row), _cell(where, "answers", row)
        answers = [cell] if isinstance(cell, str) else cell
        if not isinstance(answers, list) or not answers or not all(isinstance(each, str) and each.strip() for each in answers):
            raise DataError(f"{where}: answers must be a text or a list of texts, none of them empty")
        return Example(text, answers[0], options=tuple(answers), where=where)


def _analogy(where: str, row: dict[str, Any]) -> Example:
    """Return an analogy of two pairs of words as a question: lull is to trust as ... cajole is to compliance."""
    stem, pairs = row["stem"], _cell(where, "choice", row)
    if not _is_pair(stem):
        raise DataError(f"{where}: stem must be two words, such as [lull, trust]")
    if not isinstance(pairs, list) or len(pairs) < 2 or not all(map(_is_pair, pairs)):
        raise DataError(f"{where}: choice must be a list of at least two pairs of words")
    options = tuple(f"{one} is to {other}" for one, other in pairs)
    return Example(f"{stem[0]} is to {stem[1]} as", _gold(where, row, len(options), column="answer"), options=options, where=where)


def _is_pair(cell: Any) -> bool:
    return isinstance(cell, list) and len(cell) == 2 and all(isinstance(each, str) and each.strip() for each in cell)


def _cell(where: str, column: str, row: dict[str, Any]) -> Any:
    if column not in row:
        raise DataError(f"{where}: there is no {column}; the columns are {', '.join(row) or '(none)'}.{did_you_mean(column, row)}")
    return row[column]


def _text(where: str, column: str, row: dict[str, Any]) -> str:
    cell = _cell(where, column, row)
    if not isinstance(cell, str) or not cell.strip():
        raise DataError(f"{where}: {column} must be a text that is not empty")
    return cell


def _texts(where: str, column: str, row: dict[str, Any]) -> tuple[str, ...]:
    cell = _cell(where, column, row)
    if not isinstance(cell, list) or not cell:
        raise DataError(f"{where}: there are no options; {column} must be a list of at least two texts")
    if len(cell) < 2 or not all(isinstance(each, str) and each.strip() for each in cell):
        raise DataError(f"{where}: {column} must be a list of at least two texts, none of them empty")
    return tuple(cell)


def _gold(where: str, row: dict[str, Any], options: int, *, column: str = "gold") -> int:
    gold = row.get(column)
    if gold is None:
        raise DataError(f"{where}: there is no gold answer; {column} must be the number of the right option, from 0")
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < options:
        raise DataError(
            f"{where}: {column} is {json.dumps(gold)[:40]}; it must be the number of the right option, 0 to {options - 1}"
        )
    return gold
