"""Overrides as Python values are equivalent to overrides on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.command import TrainCommand
from gptkit.errors import ConfigError
from tests.command_line import compose_settings


def test_a_mapping_composes_the_same_settings_as_strings() -> None:
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
def test_text_is_preserved_exactly(text: str) -> None:
    assert compose_settings("generate", {"checkpoint": "x", "prompt": text, "stop": [text, "."]}).prompt == text
    assert compose_settings("generate", {"checkpoint": "x", "stop": [text, "."]}).stop == [text, "."]


def test_paths_lists_and_none_are_supported() -> None:
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
        ({"model.layers": object()}, "model.layers: values of type object are not supported"),
        ({3: 4}, "the key 3 of overrides must be a string"),
        ({"model.layers": "x"}, "model.layers"),
    ],
)
def test_an_invalid_override_is_an_error_that_names_its_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gptkit.compose("train", values)


def test_dir_lists_the_public_functions() -> None:
    assert {"compose", "run", "load", "generate"} <= set(dir(gptkit))
    assert all(getattr(gptkit, name) for name in gptkit.__all__)
