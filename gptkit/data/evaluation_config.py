"""Configs of the sources of published evaluation sets: multiple choice, cloze and free-form questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from omegaconf import MISSING

from gptkit.constraints import not_empty, one_of, texts
from gptkit.data.config import DataConfig
from gptkit.errors import ConfigError

if TYPE_CHECKING:
    from gptkit.data.base import Data


@dataclass
class EvaluationFilesConfig(DataConfig):
    """Base of the configs of sources that read published evaluation sets. Not a part itself."""

    path: Annotated[Any, "the files: a file, glob or folder, or a list of them", texts, not_empty] = MISSING
    errors: Annotated[
        str,
        "for bytes that are not UTF-8: strict (an error that names the line) or replace (with U+FFFD)",
        one_of("strict", "replace"),
    ] = "strict"


@dataclass
class ChoicesConfig(EvaluationFilesConfig):
    """Multiple choice questions: .jsonl (plain, .gz or .zst) or .parquet files with `query`, `choices` and `gold`.

    `gold` is the number of the right choice, from 0. The number of choices may differ from row to row. Rows with `context_options`,
    `continuation` and `gold` are read, too, as in Winograd schemas: a blank `_` for the options, then the continuation; and
    analogies with `stem`, `choice` and `answer`, as in SAT tests: each is a pair of words. `explanation` may say why a choice is
    right. Examples with other columns are read by data=labelled.
    """

    name: str = "choices"

    def build(self) -> Data:
        from gptkit.data.sources.evaluation_files import Choices

        return Choices(self)


@dataclass
class ChildrensBookTestConfig(EvaluationFilesConfig):
    """The Children's Book Test as published: .txt files (plain, .gz or .zst) of 20 sentences and a query with ten candidates.

    Each line begins with its number. Line 21 is the query with XXXXX in place of a word, a tab, the answer, two tabs, and the
    candidates separated by `|`. An empty line ends an example.
    """

    name: str = "childrens_book_test"

    def build(self) -> Data:
        from gptkit.data.sources.childrens_book_test import ChildrensBookTest

        return ChildrensBookTest(self)


@dataclass
class MMLUConfig(EvaluationFilesConfig):
    """Exams as MMLU is published: .csv files (plain, .gz or .zst) without header of a question, the options and the right letter.

    A folder with the subfolders `dev`, `val` and `test` has the splits train, validation and test; any other files are one split.
    The subject is the name of the file, without the name of the split at its end: `college_biology_test.csv`. Files with the header
    `question,...,answer` are read, too, and the answer may be a number from 0.
    """

    name: str = "mmlu"

    def build(self) -> Data:
        from gptkit.data.sources.mmlu import MMLU

        return MMLU(self)


@dataclass
class ClozeConfig(EvaluationFilesConfig):
    """Texts whose end is to be predicted: .jsonl (plain, .gz or .zst) or .parquet files with `context` and `continuation`.

    Of rows with `text`, the last word is the continuation, as in LAMBADA. Rows with `article` and `highlights` are read, too, as in
    CNN/Daily Mail.
    """

    name: str = "cloze"

    def build(self) -> Data:
        from gptkit.data.sources.evaluation_files import Cloze

        return Cloze(self)


@dataclass
class CoQAConfig(EvaluationFilesConfig):
    """Conversations about a story, as CoQA is published: a .json file (plain, .gz or .zst) with `data`.

    An example is a question, after the story and the questions before it with their answers. All annotators' answers are right. The
    group is the domain of the story (`source`).
    """

    name: str = "coqa"

    def build(self) -> Data:
        from gptkit.data.sources.coqa import CoQA

        return CoQA(self)


@dataclass
class ParallelConfig(DataConfig):
    """Translations: two text files with a sentence per line, as those of WMT, or one .tsv file of two columns without header.

    The text of an example is a sentence of `path`, and the answer that of the same line of `target`. Files may be compressed (.gz,
    .zst).
    """

    name: str = "parallel"
    path: Annotated[str, "the file of the sentences to translate, or a .tsv file of both", not_empty] = MISSING
    target: Annotated[str | None, "the file of their translations; null: `path` is a .tsv file", not_empty] = None
    reverse: Annotated[bool, "translate from the second language to the first"] = False
    errors: Annotated[
        str,
        "for bytes that are not UTF-8: strict (an error that names the line) or replace (with U+FFFD)",
        one_of("strict", "replace"),
    ] = "strict"

    def build(self) -> Data:
        from gptkit.data.sources.parallel import Parallel

        return Parallel(self)


@dataclass
class RowsConfig(EvaluationFilesConfig):
    """Rows with any columns: .csv, .tsv, .jsonl (each plain, .gz or .zst) or .parquet files, for the templates of task=custom.

    The first row of a .csv or .tsv file contains the column names, and all cells are text. The cells of .jsonl and .parquet files
    may be numbers, lists and mappings.
    """

    name: str = "rows"
    validation: Annotated[Any, "the files of the validation split; null: there is none", texts, not_empty] = None
    test: Annotated[Any, "the files of the test split; null: there is none", texts, not_empty] = None

    def build(self) -> Data:
        from gptkit.data.sources.rows import Rows

        return Rows(self)


@dataclass
class AnswersConfig(EvaluationFilesConfig):
    """Questions with free-form answers: .jsonl (plain, .gz or .zst) or .parquet files with `query` and `answers`.

    `answers` is a text, or a list of texts, each of which is right. The label of an example is the first one, and its options are
    all of them.
    """

    name: str = "answers"

    def build(self) -> Data:
        from gptkit.data.sources.evaluation_files import Answers

        return Answers(self)


@dataclass
class FolderConfig(DataConfig):
    """A folder with the files of several tasks: `gptkit eval +eval=gpt2 data.root=zero_shot/`. Nothing else reads it.

    The paths of `tasks` are relative to it. A bare `data.root=` chooses this source.
    """

    name: str = "folder"
    root: Annotated[str, "the folder", not_empty] = MISSING

    def build(self) -> Data:
        raise ConfigError(
            "data=folder has the files of several tasks, for gptkit eval +eval=gpt2; choose a source, such as data=text"
        )
