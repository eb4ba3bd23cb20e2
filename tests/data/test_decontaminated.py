"""data=decontaminated removes the items of evaluation sets from training text."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from gptkit.data.decontaminated_config import DecontaminatedConfig
from gptkit.errors import ConfigError
from gptkit.records import Document

QUESTION = "Which of the following four things would you take on a long walk through the hills?"
BEFORE, AFTER = ("".join(f"{word} {number}. " for number in range(60)) for word in ("before", "after"))


def settings(folder: Path, documents: list[str], **values: Any) -> DecontaminatedConfig:
    lines = "".join(json.dumps({"text": document}) + "\n" for document in documents)
    (folder / "corpus.jsonl").write_text(lines, encoding="utf-8")
    row = {"query": QUESTION, "choices": ["a pair of good boots", "a piano"], "gold": 0}
    (folder / "items.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return DecontaminatedConfig(
        source={"name": "text", "path": str(folder / "corpus.jsonl")},
        remove={"walks": {"name": "choices", "path": str(folder / "items.jsonl")}},
        **values,
    )


def test_items_are_removed_with_their_surroundings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    untouched = "A short document."
    data = settings(tmp_path, [f"{BEFORE}{QUESTION.upper()} A PIANO? {AFTER}", untouched]).build()
    with caplog.at_level(logging.WARNING, logger="gptkit"):
        pieces = list(data.records("train"))
    after = f" {AFTER}"[200:]
    assert pieces == [Document(BEFORE[:-200]), Document(after), Document(untouched)]
    assert list(data.records("train")) == pieces
    assert [chunk.text for chunk in data.chunks("train")] == [BEFORE[:-200], after, untouched]
    (line,) = caplog.messages
    assert line.startswith("1 of 2 documents have 13-grams of walks: 0 documents were removed, and 36.")


def test_every_option_of_an_item_is_removed(tmp_path: Path) -> None:
    copy = "walk through the hills a piano"
    data = settings(tmp_path, [f"{BEFORE} {copy} {AFTER}", copy], n=6).build()
    texts = [chunk.text for chunk in data.chunks("train")]
    assert len(texts) == 2 and not any("piano" in text for text in texts)


def test_documents_in_many_pieces_are_removed(tmp_path: Path) -> None:
    document = QUESTION.join([BEFORE] * 12)
    assert not list(settings(tmp_path, [document]).build().records("train"))
    assert len(list(settings(tmp_path, [document], most_pieces=12).build().records("train"))) == 12


def test_phrases_of_many_documents_are_kept(tmp_path: Path) -> None:
    documents = [f"{number} {QUESTION} {number}" for number in range(11)]
    assert len(list(settings(tmp_path, documents).build().records("train"))) == 11
    assert not list(settings(tmp_path, documents[:10]).build().records("train"))
    assert not list(settings(tmp_path, documents, most_documents=0).build().records("train"))


def test_the_fingerprint_names_all_that_decides_the_text(tmp_path: Path) -> None:
    first = settings(tmp_path, ["a text"])
    assert first.build().fingerprint == settings(tmp_path, ["a text"]).build().fingerprint
    keys = ("n", "window", "shortest_piece", "most_pieces", "most_documents")
    others = [settings(tmp_path, ["a text"], **{key: 7}) for key in keys]
    assert len({each.build().fingerprint for each in [first, *others]}) == 6
    before = first.build().fingerprint
    (tmp_path / "items.jsonl").write_text(
        json.dumps({"query": "Other?", "choices": ["a", "b"], "gold": 1}) + "\n", encoding="utf-8"
    )
    assert first.build().fingerprint != before


def test_texts_are_evaluation_sets_too(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text(QUESTION, encoding="utf-8")
    config = settings(tmp_path, [f"{BEFORE}{QUESTION} {AFTER}"])
    config.remove = {"text": {"name": "text", "path": str(tmp_path / "test.txt")}}
    assert len(list(config.build().records("train"))) == 2


def test_a_missing_source_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^data=decontaminated needs data.source and data.remove, such as data.source="):
        DecontaminatedConfig(source={"name": "sotu"}).build()
    with pytest.raises(ConfigError, match=r"data\.remove\.x"):
        DecontaminatedConfig(source={"name": "sotu"}, remove={"x": {"name": "nothing"}}).build()
