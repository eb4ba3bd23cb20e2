"""The plugin from the user's point of view: its parts are chosen by name, and their settings are checked."""

from typing import Any

import pytest
import torch

import gptkit
from gptkit.errors import ConfigError

SIZES: dict[str, Any] = {"width": 8, "heads": 2, "context": 32, "dropout": 0.0, "layers": 3}


def compose_settings(*words: str) -> Any:
    return gptkit.compose("train", list(words)).settings


def test_the_paper_chooses_the_attention() -> None:
    settings = compose_settings("+tapered=small", "attention.window=64")
    assert settings.attention.name == "tapering"
    assert [settings.attention.of_layer(layer).window for layer in range(5)] == [64, 32, 16, 8, 8]


@pytest.mark.parametrize(("layer", "visible"), [(0, 16), (1, 8), (2, 8)])
def test_a_query_sees_only_its_band(layer: int, visible: int) -> None:
    attention = compose_settings("attention=tapering", "attention.window=16").attention
    module = attention.build(**SIZES, layer=layer)
    x = torch.randn(1, 32, 8)
    changed = x.clone()
    changed[:, 0] += 1.0
    has_changed = (module(x) - module(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert has_changed.nonzero().flatten().tolist() == list(range(visible))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("attention.window=0", "attention.window=0 must be at least 1"),
        ("attention.narrowest=0", "attention.narrowest=0 must be at least 1"),
        ("attention.window=4", "attention.narrowest=8 must be at most attention.window=4"),
    ],
)
def test_an_invalid_window_is_an_error(word: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        gptkit.compose("train", ["attention=tapering", word])


def test_the_verb_prints_the_keys_of_each_layer(capsys: pytest.CaptureFixture[str]) -> None:
    run = gptkit.compose("bands", ["layers=3", "context=64", "attention.window=32"])
    assert gptkit.run(run) == [24.25, 14.125, 7.5625]
    assert capsys.readouterr().out == "layer 0: 24.2\nlayer 1: 14.1\nlayer 2: 7.6\n"
    dense = gptkit.compose("bands", ["attention=dense", "layers=1", "context=9"])
    assert gptkit.run(dense) == [5.0]
