"""Published evaluation sets: the formats that are read, and malformed rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gptkit.data import ChoicesConfig, ClozeConfig
from gptkit.errors import DataError
from gptkit.records import Example

CHOICE = {"query": "Question: Which is a fruit?", "choices": ["a pear", "a spoon", "a shoe"], "gold": 0}


def write(folder: Path, *rows: Any) -> str:
    path = folder / "a.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def test_questions_with_options_and_schemas_are_read(tmp_path: Path) -> None:
    schema = {"context_options": ["Ann thanked Bob because Ann", "Ann thanked Bob because Bob"], "continuation": "had helped."}
    path = write(tmp_path, CHOICE, {"query": "Water is", "choices": ["wet", "dry"], "gold": 1}, schema | {"gold": 1})
    assert list(ChoicesConfig(path=path).build().records("train")) == [
        Example("Question: Which is a fruit?", 0, options=("a pear", "a spoon", "a shoe")),
        Example("Water is", 1, options=("wet", "dry")),
        Example("_ had helped.", 1, options=tuple(schema["context_options"])),
    ]


def test_cloze_texts_have_a_continuation_or_end_with_it(tmp_path: Path) -> None:
    path = write(tmp_path, {"context": "She closed the", "continuation": "door"}, {"text": "He opened the old window \n"})
    assert list(ClozeConfig(path=path).build().records("train")) == [
        Example("She closed the", "door"),
        Example("He opened the old", "window"),
    ]


def test_fingerprint_depends_on_the_content_alone(tmp_path: Path) -> None:
    plain = ChoicesConfig(path=write(tmp_path, CHOICE)).build().fingerprint
    (tmp_path / "b.jsonl").write_text(json.dumps(CHOICE) + "\n")
    assert ChoicesConfig(path=str(tmp_path / "b.jsonl")).build().fingerprint == plain
    assert ChoicesConfig(path=write(tmp_path, CHOICE | {"gold": 1})).build().fingerprint != plain
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as file:
        file.write(json.dumps(CHOICE) + "\n")
    assert len(list(ChoicesConfig(path=str(tmp_path / "c.jsonl.gz")).build().records("train"))) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{'query': 1}", r"a\.jsonl:2"),
        ({"query": "x", "gold": 0}, r"a\.jsonl:2: there is no choices; the columns are query, gold"),
        ({"query": "x", "choices": [], "gold": 0}, r"a\.jsonl:2: there are no options; choices must be a list"),
        ({"query": "x", "choices": ["a"], "gold": 0}, r"a\.jsonl:2: choices must be a list of at least two texts"),
        ({"query": "x", "choices": ["a", ""], "gold": 0}, r"a\.jsonl:2: choices must be a list of at least two texts"),
        ({"query": "x", "choices": ["a", "b"]}, r"a\.jsonl:2: there is no gold answer"),
        ({"query": "x", "choices": ["a", "b"], "gold": None}, r"a\.jsonl:2: there is no gold answer"),
        ({"query": "x", "choices": ["a", "b"], "gold": 2}, r"a\.jsonl:2: gold is 2; it must be .* 0 to 1"),
        ({"query": "x", "choices": ["a", "b"], "gold": "a"}, r'a\.jsonl:2: gold is "a"; it must be'),
        ({"query": " ", "choices": ["a", "b"], "gold": 0}, r"a\.jsonl:2: query must be a text that is not empty"),
        ({"querry": "x", "choices": ["a", "b"], "gold": 0}, r"Did you mean querry\?"),
    ],
)
def test_malformed_questions_are_reported_with_their_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(ChoicesConfig(path=write(tmp_path, CHOICE, row)).build().records("train"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "word"}, r"a\.jsonl:1: text has one word"),
        ({"context": "x"}, r"a\.jsonl:1: there is no continuation; the columns are context"),
    ],
)
def test_malformed_cloze_texts_are_reported_with_their_line(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(ClozeConfig(path=write(tmp_path, row)).build().records("train"))


def test_file_without_rows_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no example"):
        list(ChoicesConfig(path=write(tmp_path, "")).build().records("train"))


def test_analogies_are_read_as_questions_with_options(tmp_path: Path) -> None:
    row = {"stem": ["lull", "trust"], "choice": [["balk", "fortitude"], ["cajole", "compliance"]], "answer": 1, "prefix": "190"}
    assert list(ChoicesConfig(path=write(tmp_path, row)).build().records("train")) == [
        Example("lull is to trust as", 1, options=("balk is to fortitude", "cajole is to compliance"))
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": ["lull"]}, "stem must be two words"),
        ({"choice": [["a", "b"]]}, "choice must be a list of at least two pairs of words"),
        ({"choice": [["a", "b"], ["c"]]}, "choice must be a list of at least two pairs of words"),
        ({"answer": 2}, "answer is 2; it must be the number of the right option, 0 to 1"),
        ({"answer": None}, "answer must be the number of the right option, from 0"),
    ],
)
def test_malformed_analogies_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = {"stem": ["lull", "trust"], "choice": [["a", "b"], ["c", "d"]], "answer": 1} | change
    with pytest.raises(DataError, match=rf"a\.jsonl:1: .*{message}"):
        list(ChoicesConfig(path=write(tmp_path, row)).build().records("train"))
