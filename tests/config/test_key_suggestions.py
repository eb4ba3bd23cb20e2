"""A word that is no key is told the key that it means: by its last component, or by another library's name for it."""

from __future__ import annotations

import pytest

from gptkit.config.key_suggestions import KEYS_BY_FOREIGN_NAME, dotted_keys
from gptkit.plugins import registry
from tests.command_line import GptkitCommand

MEANT = [
    ("train", "lr=1e-3", "optimizer.lr"),
    ("train", "+lr=1e-3", "optimizer.lr"),
    ("train", "++training.lr=1e-3", "optimizer.lr"),
    ("train", "~lr", "optimizer.lr"),
    ("train", "learning_rate=1e-3", "optimizer.lr"),
    ("train", "optimizer.learning_rate=1e-3", "optimizer.lr"),
    ("train", "learnin_rate=1e-3", "optimizer.lr"),
    ("train", "max_steps=3", "trainer.max_steps"),
    ("train", "batch_size=3", "batch.size"),
    ("train", "n_layer=3", "model.layers"),
    ("train", "model.n_embd=3", "model.width"),
    ("train", "block_size=3", "model.context"),
    ("train", "out_dir=x", "hydra.run.dir"),
    ("train", "path=x", "data.path (of data=text, data=labelled, data=dialogues, ...) or tokenizer.path"),
    ("train", "window=3", "attention.window (of attention=banded, attention=alternating)"),
    ("train", "patience=3", "callback.<name>.patience (of callback=early_stopping)"),
    ("train", "every=3", "val.every or save.every or samples.every"),
    ("train", "shape=linear", "optimizer.schedule.shape"),
    ("generate", "dtype=bf16", "precision"),
    ("generate", "model_path=x", "checkpoint"),
    ("export", "output_dir=x", "to"),
]


@pytest.mark.parametrize(("verb", "word", "key"), MEANT, ids=[word for _, word, _ in MEANT])
def test_the_key_that_was_meant_is_named(verb: str, word: str, key: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command(verb, word)
    assert outcome.status == 2
    assert f"Did you mean {key}" in outcome.error_line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lr", "1e-3"], "there is no flag --lr; a key is written without dashes: optimizer.lr=1e-3"),
        (["--learning-rate=1e-3", "seed=1"], "optimizer.lr=1e-3"),
        (["seed=1", "-lr", "1e-3"], "optimizer.lr=1e-3"),
        (["--seed", "3"], "there is no flag --seed; a key is written without dashes: seed=3"),
        (["--compile"], "compile=<value>"),
        (["lr", "1e-3"], "write optimizer.lr=<value>"),
        (["--res"], "there is no flag --res"),
    ],
)
def test_a_key_that_is_written_like_a_flag(words: list[str], said: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("train", *words)
    assert outcome.status == 2
    assert said in outcome.error_line


def test_every_name_of_the_table_means_a_key_of_some_verb() -> None:
    known = {key for verb in registry().parts["command"] for key in dotted_keys(verb)}
    for name, keys in KEYS_BY_FOREIGN_NAME.items():
        assert all(key.startswith(("trainer.", "hydra.run.dir")) or key in known for key in keys), name
