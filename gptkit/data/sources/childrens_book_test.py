"""The source `childrens_book_test`: blocks of 20 sentences, and a query with an answer and candidates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.data.readers.text_lines import read_lines
from gptkit.data.sources.evaluation_files import EvaluationFiles
from gptkit.errors import DataError
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data.evaluation_config import ChildrensBookTestConfig

SENTENCES = 20
PLACEHOLDER = "XXXXX"


class ChildrensBookTest(EvaluationFiles):
    """An example has the sentences as its text, one per line, and the query as its second text."""

    formats = (".txt",)

    def __init__(self, settings: ChildrensBookTestConfig) -> None:
        super().__init__(settings)

    def read(self, path: Path) -> Iterator[Example]:
        sentences: list[str] = []
        for number, line, _ in read_lines(path, errors=self.errors):
            where, line = f"{path}:{number}", line.strip("\r\n ")
            if not line and not sentences:
                continue
            index, _, content = line.partition(" ")
            if index != str(len(sentences) + 1) or not content.strip():
                raise DataError(f"{where}: line {len(sentences) + 1} of an example must begin with this number, then a sentence")
            if len(sentences) < SENTENCES:
                sentences.append(content)
            else:
                yield _example(where, "\n".join(sentences), content)
                sentences = []
        if sentences:
            raise DataError(f"{path}: the last example ends after {len(sentences)} of {SENTENCES + 1} lines")


def _example(where: str, text: str, line: str) -> Example:
    query, _, rest = line.partition("\t")
    answer, _, candidates = rest.partition("\t")
    options = tuple(candidates.strip("\t").split("|"))
    if PLACEHOLDER not in query:
        raise DataError(f"{where}: the query must contain {PLACEHOLDER} in place of a word")
    if not answer.strip():
        raise DataError(f"{where}: there is no answer; it must follow the query after a tab")
    if len(options) < 2 or not all(option.strip() for option in options):
        raise DataError(f"{where}: there must be two or more candidates separated by |, after the answer and two tabs")
    if answer not in options:
        raise DataError(f"{where}: the answer {answer[:40]!r} is not one of the candidates")
    return Example(text, options.index(answer), pair=query, options=options, where=where)
