"""The index is complete or absent, and its bytes depend on the text alone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptkit.contamination.index import NgramIndex
from gptkit.contamination.index_builder import build_index
from gptkit.contamination.training_documents import DocumentPart
from gptkit.errors import ConfigError, DataError
from tests.contamination.corpus import as_parts, random_documents, slow_words
from tests.processes import ProcessServer

DESCRIPTION = {"components": ["data"]}


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_bytes_do_not_depend_on_parts_runs_or_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = random_documents(1)
    build_index(tmp_path / "one", as_parts(documents), n=[3, 5], description=DESCRIPTION)
    monkeypatch.setattr("gptkit.contamination.index_builder.BATCH_WORDS", 3)
    for number, size in enumerate((1, 2, 7)):
        folder = tmp_path / f"other-{number}"
        build_index(folder, as_parts(documents, size=size), n=[3, 5], description=DESCRIPTION, run_entries=10, merged_entries=7)
        assert content_of(folder) == content_of(tmp_path / "one")


def test_documents_are_lines_of_words(tmp_path: Path) -> None:
    documents = ["Hello, World!", "...", "A b\nc"]
    index = build_index(tmp_path / "index", as_parts(documents), n=[2], description=DESCRIPTION)
    assert (tmp_path / "index" / "words.txt").read_text() == "hello world\na b c\n"
    assert [index.document(line).number for line in (0, 1)] == [0, 2]
    assert index.document_words(1).split() == slow_words(documents[2])
    assert str(index.document(1)) == "document 2 of data"


def killed_while_reading() -> Iterator[DocumentPart]:
    for number, part in enumerate(as_parts(random_documents(1))):
        if number == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        yield part


def build_and_be_killed(folder: Path) -> None:
    build_index(folder, killed_while_reading(), n=[3], description=DESCRIPTION)


def test_a_killed_process_leaves_no_index_and_the_next_one_finishes(process_server: ProcessServer, tmp_path: Path) -> None:
    killed = process_server.start(build_and_be_killed, tmp_path / "index")
    assert killed.wait() == -signal.SIGKILL, killed.stderr
    assert os.listdir(tmp_path) == [".writing-index"]
    build_index(tmp_path / "index", as_parts(random_documents(1)), n=[3], description=DESCRIPTION)
    build_index(tmp_path / "other", as_parts(random_documents(1)), n=[3], description=DESCRIPTION)
    assert sorted(os.listdir(tmp_path)) == ["index", "other"]
    assert content_of(tmp_path / "index") == content_of(tmp_path / "other")


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def fails() -> Iterator[DocumentPart]:
        yield from as_parts(["one two three"])
        raise DataError("line 2 is damaged")

    with pytest.raises(DataError, match="line 2 is damaged"):
        build_index(tmp_path / "index", fails(), n=[2], description=DESCRIPTION)
    assert os.listdir(tmp_path) == []


def test_two_processes_do_not_write_the_same_index(tmp_path: Path) -> None:
    def starts_another() -> Iterator[DocumentPart]:
        with pytest.raises(ConfigError, match="another process is writing this index"):
            build_index(tmp_path / "index", as_parts(["one two"]), n=[2], description=DESCRIPTION)
        yield from as_parts(["one two three"])

    assert build_index(tmp_path / "index", starts_another(), n=[2], description=DESCRIPTION).content["words"] == 3


def test_documents_without_an_ngram_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"n=8: no training document has 8 words; choose a smaller n$"):
        build_index(tmp_path / "index", as_parts(["one two three"]), n=[3, 8], description=DESCRIPTION)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"to=.*file/index: cannot be written"):
        build_index(tmp_path / "file" / "index", as_parts(["one two"]), n=[2], description=DESCRIPTION)


@pytest.mark.parametrize("damage", ["truncate", "remove", "edit", "not json", "no files"])
def test_a_damaged_index_is_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "index"
    build_index(folder, as_parts(["one two three"]), n=[2], description=DESCRIPTION)
    description = folder / "index.json"
    if damage == "truncate":
        (folder / "hashes-2.bin").write_bytes(b"1")
    elif damage == "remove":
        (folder / "words.txt").unlink()
    elif damage == "edit":
        description.write_text(description.read_text().replace('"words": 3', '"words": 4'))
    elif damage == "not json":
        description.write_text("{")
    else:
        description.write_text(json.dumps([1]))
    with pytest.raises(DataError, match=r"; remove .*index and build the index again$"):
        NgramIndex(folder)
