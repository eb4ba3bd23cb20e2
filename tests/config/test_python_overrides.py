"""Overrides given as Python's values are what the same words are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.command import TrainCommand
from gptkit.errors import ConfigError
from tests.command_line import compose_settings


def test_a_mapping_is_the_words_that_it_stands_for() -> None:
    words = ["+gpt2=124m", "model.layers=2", "optimizer=muon", "optimizer.lr=0.001", "val.fraction=0.25", "compile=false"]
    values = {
        "+gpt2": "124m",
        "model": {"layers": 2},
        "optimizer": "muon",
        "optimizer.lr": 1e-3,
        "val": {"fraction": 0.25},
        "compile": False,
    }
    assert compose_settings("train", values) == compose_settings("train", words)


@pytest.mark.parametrize(
    "text", ["Don't (stop), 100% ~<|endoftext|>", "1", "null", "true", "a=b", "${x}", "[a]", "'q'", "ü\n", "a,b", ""]
)
def test_text_arrives_as_it_is(text: str) -> None:
    assert compose_settings("generate", {"checkpoint": "x", "prompt": text, "stop": [text, "."]}).prompt == text
    assert compose_settings("generate", {"checkpoint": "x", "stop": [text, "."]}).stop == [text, "."]


def test_paths_lists_and_nothing_are_values_too() -> None:
    settings = compose_settings("train", {"data": "text", "data.path": [Path("a b.txt"), "c.txt"], "init_from": None})
    assert settings.data.path == ["a b.txt", "c.txt"]
    assert settings.init_from is None
    run = gptkit.compose("train", {"hydra.run.dir": Path("runs/a b"), "samples": {"prompts": []}})
    assert run.folder == Path("runs/a b")
    assert isinstance(run.settings, TrainCommand)
    assert run.settings.samples.prompts == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"layer": 2}}, "there is no key model.layer"),
        ({"model.layers": object()}, "model.layers: a value of type object cannot be given"),
        ({3: 4}, "the key 3 of overrides must be a text"),
        ({"model.layers": "x"}, "model.layers"),
    ],
)
def test_what_has_no_meaning_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gptkit.compose("train", values)


def test_the_package_shows_what_it_has() -> None:
    assert {"compose", "run", "load", "generate"} <= set(dir(gptkit))
    assert all(getattr(gptkit, name) for name in gptkit.__all__)
