"""Several sources as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gptkit.config.compose import compose
from gptkit.data import Mixture
from gptkit.data.mixture import BuiltMixture
from gptkit.errors import ConfigError
from gptkit.records import Document


def source(folder: Path, word: str, **more: Any) -> dict[str, Any]:
    (folder / f"{word}.txt").write_text(word)
    return {"name": "text", "path": str(folder / f"{word}.txt"), **more}


def test_sources_follow_one_another(tmp_path: Path) -> None:
    built = Mixture(sources={"b": source(tmp_path, "second"), "a": source(tmp_path, "first")}).build()
    assert list(built.records("train")) == [Document("second"), Document("first")]
    chunks = list(built.chunks("train"))
    assert "".join(chunk.text for chunk in chunks) == "secondfirst" and sum(chunk.last for chunk in chunks) == 2
    assert chunks[-1].read == 1.0 and [chunk.read for chunk in chunks] == sorted(chunk.read or 0.0 for chunk in chunks)


def test_the_fingerprint_is_that_of_the_sources_in_their_order(tmp_path: Path) -> None:
    first, second = source(tmp_path, "first"), source(tmp_path, "second")

    def fingerprint(*sources: dict[str, Any]) -> str:
        return Mixture(sources={f"word {place}": each for place, each in enumerate(sources)}).build().fingerprint

    assert fingerprint(first, second) == Mixture(sources={"x": first, "y": second}).build().fingerprint
    assert len({fingerprint(first, second), fingerprint(second, first), fingerprint(first), fingerprint(first, first)}) == 4


def test_a_split_is_there_where_every_source_has_it(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text,label\na,x\n")
    held_out = tmp_path / "b.csv"
    held_out.write_text("text,label\nb,y\n")
    labelled = {"name": "labelled", "path": str(table), "validation": str(held_out)}
    both = Mixture(sources={"a": labelled, "b": {**labelled, "test": str(tmp_path / "b.csv"), "validation": None}}).build()
    assert both.splits == ("train",)
    same = Mixture(sources={"a": labelled}).build()
    assert same.splits == ("train", "validation") and [chunk.text for chunk in same.chunks("validation")] == ["b"]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({}, "data=mixture needs data.sources"),
        ({"a": "sotu"}, "data.sources.a=sotu must be the settings of a source"),
        ({"a": {"name": "sotuu"}}, "there is no data=sotuu. Did you mean sotu?"),
        ({"a": {"name": "text", "pahts": "x"}}, "there is no key data.sources.a.pahts. Did you mean data.sources.a.path?"),
        ({"a": {"name": "text"}}, "data.sources.a.path must be given"),
    ],
)
def test_bad_sources_are_one_line(sources: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.").replace("?", r"\?")):
        Mixture(sources=sources).build()


def test_prose_is_every_embedded_text() -> None:
    settings = compose("train", ["data=prose"]).settings.data  # type: ignore[attr-defined]
    assert isinstance(settings, Mixture)
    built = settings.build()
    assert isinstance(built, BuiltMixture) and list(built.sources) == ["speeches", "reviews"]
    assert built.splits == ("train",)
