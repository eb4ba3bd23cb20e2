"""The plugin as its users see it: chosen by name, and exact."""

import torch

import gptkit


def test_the_paper_chooses_the_attention():
    settings = gptkit.compose("train", ["+tapered=small", "attention.window=64"]).settings
    assert settings.attention.name == "tapering"
    assert [settings.attention.window_of(layer) for layer in range(5)] == [64, 32, 16, 8, 8]


def test_a_query_sees_only_its_band():
    attention = gptkit.compose("train", ["attention=tapering", "attention.window=16"]).settings.attention
    built = attention.build(width=8, heads=2, context=32, dropout=0.0, layer=1, layers=2)
    x = torch.randn(1, 32, 8)
    changed = x.clone()
    changed[:, 0] += 1.0
    moved = (built(x) - built(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(8))


def test_the_verb_prints_the_bands(capsys):
    run = gptkit.compose("bands", ["layers=3", "attention.window=32"])
    assert gptkit.run(run) == [32, 16, 8]
    assert capsys.readouterr().out == "layer 0: 32\nlayer 1: 16\nlayer 2: 8\n"
