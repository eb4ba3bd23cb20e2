"""The error for an unknown key suggests a key with the same last component, or with the same meaning in another library."""

from __future__ import annotations

import pytest

from gptkit.config.key_suggestions import KEYS_BY_FOREIGN_NAME, dotted_keys
from gptkit.plugins import registry
from tests.command_line import GptkitCommand

SUGGESTIONS = [
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
    ("train", "project=x", "logger.wandb.project"),
    ("train", "wandb_project=x", "logger.wandb.project"),
    ("train", "report_to=wandb", "logger"),
    ("train", "patience=3", "callback.<name>.patience (of callback=early_stopping)"),
    ("train", "every=3", "val.every or save.every or samples.every"),
    ("train", "shape=linear", "optimizer.schedule.shape"),
    ("generate", "dtype=bf16", "precision"),
    ("generate", "model_path=x", "checkpoint"),
    ("export", "output_dir=x", "to"),
]


@pytest.mark.parametrize(("verb", "word", "key"), SUGGESTIONS, ids=[word for _, word, _ in SUGGESTIONS])
def test_an_unknown_key_suggests_the_key_that_was_meant(verb: str, word: str, key: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command(verb, word)
    assert outcome.status == 2
    assert f"Did you mean {key}" in outcome.error_line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "1e-3"], "there is no flag --lr; keys have no dashes: optimizer.lr=1e-3"),
        (["--learning-rate=1e-3", "seed=1"], "optimizer.lr=1e-3"),
        (["seed=1", "-lr", "1e-3"], "optimizer.lr=1e-3"),
        (["--seed", "3"], "there is no flag --seed; keys have no dashes: seed=3"),
        (["--compile"], "compile=<value>"),
        (["lr", "1e-3"], "write optimizer.lr=<value>"),
        (["--res"], "there is no flag --res"),
    ],
)
def test_a_key_written_like_a_flag_suggests_the_override(words: list[str], message: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("train", *words)
    assert outcome.status == 2
    assert message in outcome.error_line


def test_every_suggested_key_exists() -> None:
    known = {key for verb in registry().parts["command"] for key in dotted_keys(verb)}
    for name, keys in KEYS_BY_FOREIGN_NAME.items():
        assert all(key.startswith(("trainer.", "hydra.run.dir")) or key in known for key in keys), name
