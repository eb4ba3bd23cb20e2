"""The source `mixture`: the records, splits and fingerprint of several sources."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.config.compose import compose
from gptkit.data import MixtureConfig
from gptkit.data.base import Data
from gptkit.data.sources.mixture import Mixture
from gptkit.data.splits import split_records
from gptkit.data.windows import token_streams
from gptkit.errors import ConfigError, DataError
from gptkit.records import Document, Record
from gptkit.tokenizer.bytes import BytesTokenizer
from gptkit.training.resume_compatibility import check_same_sources


def source(folder: Path, word: str, **more: Any) -> dict[str, Any]:
    (folder / f"{word}.txt").write_text(word)
    return {"name": "text", "path": str(folder / f"{word}.txt"), **more}


def test_records_of_sources_are_in_sequence(tmp_path: Path) -> None:
    built = MixtureConfig(sources={"b": source(tmp_path, "second"), "a": source(tmp_path, "first")}).build()
    assert list(built.records("train")) == [Document("second"), Document("first")]
    chunks = list(built.chunks("train"))
    assert "".join(chunk.text for chunk in chunks) == "secondfirst" and sum(chunk.is_last for chunk in chunks) == 2
    assert chunks[-1].progress == 1.0 and [chunk.progress for chunk in chunks] == sorted(chunk.progress or 0.0 for chunk in chunks)


def test_fingerprint_depends_on_the_sources_and_their_order(tmp_path: Path) -> None:
    first, second = source(tmp_path, "first"), source(tmp_path, "second")

    def fingerprint(*sources: dict[str, Any]) -> str:
        return MixtureConfig(sources={f"key {index}": each for index, each in enumerate(sources)}).build().fingerprint

    assert fingerprint(first, second) == MixtureConfig(sources={"x": first, "y": second}).build().fingerprint
    assert len({fingerprint(first, second), fingerprint(second, first), fingerprint(first), fingerprint(first, first)}) == 4


def test_run_that_split_its_mixture_as_one_text_cannot_continue(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text")
    mixture = MixtureConfig(sources={"a": {"name": "text", "path": str(tmp_path / "a.txt")}}).build()
    parts = [each.fingerprint for each in mixture.components().values()]
    as_one_text = hashlib.sha256(json.dumps(["mixture", parts]).encode()).hexdigest()
    with pytest.raises(
        ConfigError, match=r"data=: the content has changed since .*, or this version of gptkit mixes or splits it differently"
    ):
        check_same_sources(tmp_path, {"data": as_one_text}, {"data": mixture.fingerprint})


def test_mixture_has_the_splits_that_every_source_has(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text,label\na,x\n")
    held_out = tmp_path / "b.csv"
    held_out.write_text("text,label\nb,y\n")
    labelled = {"name": "labelled", "path": str(table), "validation": str(held_out)}
    both = MixtureConfig(sources={"a": labelled, "b": {**labelled, "test": str(tmp_path / "b.csv"), "validation": None}}).build()
    assert both.splits == ("train",)
    same = MixtureConfig(sources={"a": labelled}).build()
    assert same.splits == ("train", "validation") and [chunk.text for chunk in same.chunks("validation")] == ["b"]


def test_records_of_each_source_are_split_separately(tmp_path: Path) -> None:
    """This includes small sources, and sources that have a validation split."""
    files = {"big": 400, "small": 5, "split": 30, "own": 7}
    for word, rows in files.items():
        (tmp_path / f"{word}.csv").write_text("text,label\n" + "".join(f"{word}{row},x\n" for row in range(rows)))
    labelled = {word: {"name": "labelled", "path": str(tmp_path / f"{word}.csv")} for word in files}
    labelled["split"]["validation"] = labelled.pop("own")["path"]
    inner = {"name": "mixture", "sources": {word: labelled[word] for word in ("small", "split")}}
    data = MixtureConfig(sources={"big": labelled["big"], "inner": inner}).build()
    assert list(data.components()) == [
        "data.sources.big",
        *(f"data.sources.inner: data.sources.{word}" for word in inner["sources"]),
    ]
    train, held_out = split_records(data, 0.1, lambda source, split: source.records(split))
    counts = [{word: sum(record.text.startswith(word) for record in part) for word in files} for part in (train, held_out)]
    assert counts == [{"big": 360, "small": 4, "split": 30, "own": 0}, {"big": 40, "small": 1, "split": 0, "own": 7}]
    with pytest.raises(DataError, match=r"^data\.sources\.inner: data\.sources\.small: no dialogues here"):
        split_records(data, 0.1, refuse_small)


def refuse_small(source: Data, split: str) -> list[Record]:
    records = list(source.records(split))
    if len(records) == 5:
        raise DataError("no dialogues here")
    return records


def test_tokens_of_each_source_are_split_separately(tmp_path: Path) -> None:
    """The last part of the text of each source is held out, not only that of the last source."""
    sizes = {"a": 9000, "b": 500, "c": 2000}
    for letter, size in sizes.items():
        (tmp_path / f"{letter}.txt").write_text(letter * size)
    data = MixtureConfig(sources={letter: {"name": "text", "path": str(tmp_path / f"{letter}.txt")} for letter in sizes}).build()
    train, held_out = token_streams(data, BytesTokenizer(), validation_fraction=0.1)
    for stream, share in ((train, 0.9), (held_out, 0.1)):
        tokens = stream.read(np.array([0]), len(stream))
        assert [int((tokens == ord(letter)).sum()) for letter in sizes] == [round(share * size) for size in sizes.values()]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({}, "data=mixture needs data.sources"),
        ({"a": "sotu"}, "data.sources.a=sotu must be the settings of a part, such as {name: text, path: ...}"),
        ({"a": {"name": "sotuu"}}, "there is no data=sotuu. Did you mean sotu?"),
        ({"a": {"name": "text", "pahts": "x"}}, "there is no key data.sources.a.pahts. Did you mean data.sources.a.path?"),
        ({"a": {"name": "text"}}, "data.sources.a.path is required"),
    ],
)
def test_invalid_source_is_a_one_line_error(sources: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        MixtureConfig(sources=sources).build()


def test_prose_mixes_the_embedded_texts() -> None:
    settings = compose("train", ["data=prose"]).settings.data  # type: ignore[attr-defined]
    assert isinstance(settings, MixtureConfig)
    built = settings.build()
    assert isinstance(built, Mixture) and list(built.sources) == ["speeches", "reviews"]
    assert built.splits == ("train",)


def test_weights_repeat_and_thin_the_training_records(tmp_path: Path) -> None:
    sources = {}
    for name in ("a", "b", "c"):
        path = tmp_path / f"{name}.jsonl"
        rows = [{"prompt": f"{name}{n}", "completion": " x"} for n in range(20)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        sources[name] = {"name": "dialogues", "path": str(path)}

    def prompts(weights: dict[str, float]) -> tuple[list[str], list[str], str]:
        built = MixtureConfig(sources=sources, weights=weights).build()
        splits = split_records(built, 0.1, lambda source, split: source.records(split))
        train, held_out = ([record.turns[0].text for record in part] for part in splits)
        return train, held_out, built.fingerprint

    train, held_out, fingerprint = prompts({})
    weighted, same_held_out, other = prompts({"a": 2.5, "b": 0.5, "c": 0})
    assert same_held_out == held_out and other != fingerprint
    assert not set(held_out) & set(weighted)
    counts = {name: [weighted.count(text) for text in train if text[0] == name] for name in "abc"}
    assert {name: sum(each) for name, each in counts.items()} == {"a": 45, "b": 9, "c": 0}
    assert set(counts["a"]) == {2, 3} and set(counts["b"]) == {0, 1}
    with pytest.raises(ConfigError, match=r"data\.weights has no source d; the sources are a, b, c"):
        MixtureConfig(sources=sources, weights={"d": 1.0}).build()
