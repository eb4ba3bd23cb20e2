"""The plugin as its users see it: chosen by name, checked, and exact."""

import pytest
import torch

import gptkit
from gptkit.errors import ConfigError

SIZES = {"width": 8, "heads": 2, "context": 32, "dropout": 0.0, "layers": 3}


def test_the_paper_chooses_the_attention():
    settings = gptkit.compose("train", ["+tapered=small", "attention.window=64"]).settings
    assert settings.attention.name == "tapering"
    assert [settings.attention.of_layer(layer).window for layer in range(5)] == [64, 32, 16, 8, 8]


@pytest.mark.parametrize(("layer", "sees"), [(0, 16), (1, 8), (2, 8)])
def test_a_query_sees_only_its_band(layer, sees):
    attention = gptkit.compose("train", ["attention=tapering", "attention.window=16"]).settings.attention
    built = attention.build(**SIZES, layer=layer)
    x = torch.randn(1, 32, 8)
    changed = x.clone()
    changed[:, 0] += 1.0
    moved = (built(x) - built(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(sees))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("attention.window=0", "attention.window=0 must be at least 1"),
        ("attention.narrowest=0", "attention.narrowest=0 must be at least 1"),
        ("attention.window=4", "attention.narrowest=8 must be at most attention.window=4"),
    ],
)
def test_a_window_that_cannot_be_is_refused(word, reason):
    with pytest.raises(ConfigError, match=reason):
        gptkit.compose("train", ["attention=tapering", word])


def test_the_verb_prints_what_each_layer_sees(capsys):
    run = gptkit.compose("bands", ["layers=3", "context=64", "attention.window=32"])
    assert gptkit.run(run) == [24.25, 14.125, 7.5625]
    assert capsys.readouterr().out == "layer 0: 24.2\nlayer 1: 14.1\nlayer 2: 7.6\n"
    dense = gptkit.compose("bands", ["attention=dense", "layers=1", "context=9"])
    assert gptkit.run(dense) == [5.0]
