"""A run with `init_from` inherits model and tokenizer; the command line may change only dropout and attention."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import gptkit
from gptkit.command import TrainCommand
from gptkit.errors import CheckpointError, ConfigError
from tests.command_line import compose_settings

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
    settings = compose_settings("plan", [f"init_from={trained}", "model.dropout=0.25"])
    assert (settings.model.layers, settings.model.width, settings.model.dropout) == (1, 8, 0.25)
    assert settings.tokenizer.name == "char"
    assert settings.attention.window == 4


def test_another_attention_may_be_chosen(trained: Path) -> None:
    assert compose_settings("plan", [f"init_from={trained}", "attention=dense"]).attention.name == "dense"


@pytest.mark.parametrize("word", ["model.layers=2", "model.width=64", "tokenizer=bytes"])
def test_an_override_that_disagrees_is_an_error(trained: Path, word: str) -> None:
    with pytest.raises(ConfigError, match=f"{word} disagrees with .*; remove it"):
        gptkit.compose("plan", [f"init_from={trained}", word])


def test_an_override_that_agrees_is_accepted(trained: Path) -> None:
    assert compose_settings("plan", [f"init_from={trained}", "model.layers=1"]).model.layers == 1
    assert compose_settings("plan", [f"init_from={trained}", "model.width=8"]).model.width == 8  # 6 heads by default


def test_an_unknown_key_is_still_an_error(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no key model\.widht"):
        gptkit.compose("plan", [f"init_from={trained}", "+model.widht=64"])


@pytest.fixture(scope="module")
def tuned(trained: Path) -> Path:
    """A run that fine-tunes `trained` on demonstrations."""
    folder = trained.parent
    (folder / "demonstrations.jsonl").write_text('{"prompt": "the", "completion": " fox"}\n' * 8)
    words = [
        "objective=sft",
        "data=dialogues",
        f"data.path={folder / 'demonstrations.jsonl'}",
        f"init_from={trained}",
        "batch.size=2",
    ]
    gptkit.run(gptkit.compose("train", [*words, "trainer.max_steps=1", "val.every=0", f"hydra.run.dir={folder / 'tuned'}"]))
    return folder / "tuned"


PPO_PTX = ["objective=ppo", "objective.ptx_coef=1", "reward=lexicon", "data=review_prompts"]


@pytest.mark.parametrize(
    ("words", "key"),
    [(PPO_PTX, "ptx_data"), (["objective=sft", "objective.pretraining=0.1", "data=review_dialogues"], "pretraining_data")],
)
def test_the_pretraining_text_of_the_weights_is_mixed_in(words: list[str], key: str, trained: Path, tuned: Path) -> None:
    """The text is inherited through any number of stages, unless the user names another. The default is the bundled speeches."""
    for source in (trained, tuned):
        inherited = getattr(compose_settings("train", [*words, f"init_from={source}"]).objective, key)
        assert (inherited["name"], inherited["path"]) == ("text", str(trained.parent / "x.txt"))
    named = compose_settings("train", [*words, f"init_from={tuned}", f"objective.{key}={{name:movie_reviews}}"])
    assert getattr(named.objective, key) == {"name": "movie_reviews"}
    assert getattr(compose_settings("train", words).objective, key) == {"name": "sotu"}


def test_an_unused_pretraining_source_is_not_resolved(tuned: Path, trained: Path) -> None:
    words = [*PPO_PTX, f"init_from={tuned}", "objective.ptx_coef=0"]
    assert compose_settings("train", words).objective.ptx_data == {"name": "auto"}


def test_an_error_about_a_missing_pretraining_run_names_the_key_to_set(trained: Path, tuned: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tuned, tmp_path / "tuned")
    moved = trained.rename(trained.parent / "moved")
    try:
        with pytest.raises(
            ConfigError, match=r"was pre-trained cannot be determined .*; set objective\.ptx_data=\{name:text,path:"
        ):
            gptkit.compose("train", [*PPO_PTX, f"init_from={copy}"])
    finally:
        moved.rename(trained)


@pytest.fixture(scope="module")
def without_tokenizer(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports a byte-level model in Hugging Face's format, and removes the tokenizer, which many published folders lack."""
    folder = tmp_path_factory.mktemp("hf")
    words = ["data=text", f"data.path={trained.parent / 'x.txt'}", "tokenizer=bytes", *TINY, "trainer.max_steps=1"]
    gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder / 'run'}"]))
    gptkit.run(gptkit.compose("export", {"checkpoint": folder / "run", "to": folder / "bare"}))
    for file in (folder / "bare").glob("tokenizer*"):
        file.unlink()
    return folder / "bare"


def test_a_folder_without_a_tokenizer_uses_the_one_of_the_command_line(
    without_tokenizer: Path, trained: Path, tmp_path: Path
) -> None:
    words = ["data=text", f"data.path={trained.parent / 'x.txt'}", "batch.size=2", "samples.every=0", "trainer.max_steps=1"]
    start = [*words, f"init_from=hf:{without_tokenizer}", f"hydra.run.dir={tmp_path / 'run'}"]
    with pytest.raises(CheckpointError, match=r"has no tokenizer.*such as tokenizer=gpt2"):
        gptkit.compose("train", start)
    with pytest.raises(CheckpointError, match="tokenizer=char is trained on texts; choose the tokenizer"):
        gptkit.compose("train", [*start, "tokenizer=char"])
    with pytest.raises(CheckpointError, match="has no tokenizer: put its tokenizer"):
        gptkit.load(f"hf:{without_tokenizer}")
    run = gptkit.compose("train", [*start, "tokenizer=bytes"])
    assert isinstance(run.settings, TrainCommand)
    assert run.settings.model.layers == 1
    gptkit.run(run)
    assert gptkit.load(str(tmp_path / "run"))[1].size == 257


@pytest.mark.parametrize("name", ["gpt2", "no-such-organisation/gpt2-large"])
def test_a_hub_name_without_prefix_suggests_the_prefix(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"there is no such folder.*A model of the Hugging Face hub is named hf:{name}"):
        gptkit.compose("train", [f"init_from={name}"])
    with pytest.raises(CheckpointError, match=f"hf:{name}"):
        gptkit.load(name)
