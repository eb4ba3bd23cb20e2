"""`init_from` decides model and tokenizer; the command line may only agree, or change dropout and attention."""

from __future__ import annotations

from pathlib import Path

import pytest

import gptkit
from gptkit.errors import ConfigError

TINY = [
    "model.layers=1",
    "model.heads=2",
    "model.width=8",
    "model.context=16",
    "batch.size=2",
    "val.sequences=2",
    "samples.every=0",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "x.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 40)
    words = ["data=text", f"data.path={folder / 'x.txt'}", "tokenizer=char", "attention=banded", "attention.window=4"]
    run = gptkit.compose("train", [*words, *TINY, "trainer.max_steps=1", f"hydra.run.dir={folder / 'run'}"])
    gptkit.run(run)
    return folder / "run"


def test_model_tokenizer_and_attention_come_from_the_weights(trained: Path) -> None:
    settings = gptkit.compose("plan", [f"init_from={trained}", "model.dropout=0.25"]).settings
    assert (settings.model.layers, settings.model.width, settings.model.dropout) == (1, 8, 0.25)
    assert settings.tokenizer.name == "char"
    assert settings.attention.window == 4


def test_attention_may_be_swapped(trained: Path) -> None:
    assert gptkit.compose("plan", [f"init_from={trained}", "attention=dense"]).settings.attention.name == "dense"


@pytest.mark.parametrize("word", ["model.layers=2", "model.width=64", "tokenizer=bytes"])
def test_a_word_that_disagrees_is_refused(trained: Path, word: str) -> None:
    with pytest.raises(ConfigError, match=f"{word} disagrees with .*; leave it out"):
        gptkit.compose("plan", [f"init_from={trained}", word])


def test_a_word_that_agrees_is_accepted(trained: Path) -> None:
    assert gptkit.compose("plan", [f"init_from={trained}", "model.layers=1"]).settings.model.layers == 1
    assert gptkit.compose("plan", [f"init_from={trained}", "model.width=8"]).settings.model.width == 8  # 6 heads by default


def test_a_key_that_nothing_has_is_still_unknown(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no key model\.widht"):
        gptkit.compose("plan", [f"init_from={trained}", "+model.widht=64"])
