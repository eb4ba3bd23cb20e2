"""GPT-1's tokenizer: saved and published files, missing packages, and invalid texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer import GPT1TokenizerConfig
from gptkit.tokenizer.base import END_OF_TEXT
from gptkit.tokenizer.gpt1 import BackslashGPT1Tokenizer, GPT1Tokenizer, ReleasedGPT1Tokenizer, TransformersGPT1Tokenizer
from gptkit.tokenizer.gpt1_files import from_folder, load_published


@pytest.fixture
def folder(released_gpt1: GPT1Tokenizer, tmp_path: Path) -> Path:
    """A folder with files in the format of OpenAI, which have no end-of-text."""
    vocabulary = {entry: token for entry, token in released_gpt1.vocabulary.items() if entry != END_OF_TEXT}
    (tmp_path / "encoder_bpe_40000.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, released_gpt1.merges), ""]
    (tmp_path / "vocab_40000.bpe").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_tokenizer_saved_with_backslash_splitting_keeps_it(released_gpt1: GPT1Tokenizer, tmp_path: Path) -> None:
    """Older versions saved it as `openai`."""
    before = BackslashGPT1Tokenizer(released_gpt1.vocabulary, released_gpt1.merges)
    for built, form in ((before, "openai"), (released_gpt1, "released")):
        folder = tmp_path / form
        folder.mkdir()
        built.save(folder)
        assert json.loads((folder / "gpt1.json").read_text())["cleaning"] == form
        loaded = GPT1TokenizerConfig().load(folder)
        assert (type(loaded), loaded.fingerprint) == (type(built), built.fingerprint)
        assert loaded.encode("a\\b") == built.encode("a\\b")
    assert before.fingerprint != released_gpt1.fingerprint
    assert before.encode("a\\b") == released_gpt1.encode("a \\ b") != released_gpt1.encode("a\\b")


def test_cleanings_have_different_fingerprints(released_gpt1: GPT1Tokenizer) -> None:
    other = TransformersGPT1Tokenizer(released_gpt1.vocabulary, released_gpt1.merges)
    assert other.fingerprint != released_gpt1.fingerprint
    assert other.encode("don't") != released_gpt1.encode("don't")


def test_official_files_are_read_and_get_an_end_of_text(folder: Path, released_gpt1: GPT1Tokenizer) -> None:
    tokenizer = load_published(str(folder), "openai")
    assert tokenizer.fingerprint == released_gpt1.fingerprint
    (folder / "encoder_bpe_40000.json").rename(folder / "vocab.json")
    (folder / "vocab_40000.bpe").rename(folder / "merges.txt")
    assert from_folder(folder, ReleasedGPT1Tokenizer).fingerprint == released_gpt1.fingerprint


def test_error_names_invalid_and_missing_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        load_published("./nowhere", "openai")
    (folder / "vocab_40000.bpe").write_text("#version: 0.2\nq q\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"encoder_bpe_40000\.json: the merges do not fit"):
        from_folder(folder, ReleasedGPT1Tokenizer)
    (folder / "encoder_bpe_40000.json").write_text('{"a": 0}', encoding="utf-8")
    with pytest.raises(DataError, match="no entry '<unk>'"):
        from_folder(folder, ReleasedGPT1Tokenizer)
    (folder / "vocab_40000.bpe").unlink()
    with pytest.raises(ConfigError, match=r"the folder has neither encoder_bpe_40000\.json with vocab_40000\.bpe nor"):
        from_folder(folder, ReleasedGPT1Tokenizer)


def test_error_names_a_vocabulary_with_incomplete_merges(folder: Path, released_gpt1: GPT1Tokenizer) -> None:
    lines = (folder / "vocab_40000.bpe").read_text(encoding="utf-8").splitlines()
    (folder / "vocab_40000.bpe").write_text("\n".join(lines[:-30]) + "\n", encoding="utf-8")
    kept = len(released_gpt1.merges) - 30
    with pytest.raises(
        DataError, match=rf"encoder_bpe_40000\.json: \d+ entries, such as .*</w>.*, result from none of the {kept:,} merges"
    ):
        from_folder(folder, ReleasedGPT1Tokenizer)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"vocab": ["a"], "merges": []}, "no vocabulary that maps entries to ids"),
        ({"vocab": {"a": "0"}, "merges": []}, "no vocabulary that maps entries to ids"),
        ({"vocab": {"a": 0}}, "a merge that is not a pair"),
        ({"vocab": {"a": 0}, "merges": ["a"]}, "a merge that is not a pair"),
        ({"vocab": {"a": 0}, "merges": [["a", 1]]}, "a merge that is not a pair"),
        ({"vocab": {"a": 0}, "merges": []}, "no entry '<unk>'"),
        (["a"], "no vocabulary that maps entries to ids"),
    ],
)
def test_tokenizer_json_without_a_bpe_is_an_error(tmp_path: Path, model: object, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}), encoding="utf-8")
    with pytest.raises(DataError, match=rf"tokenizer\.json.*{message}"):
        from_folder(tmp_path, TransformersGPT1Tokenizer)


def test_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(ConfigError, match=r"ftfy is missing: pip install gptkit\[gpt1\], or .* tokenizer.cleaning=transformers"):
        GPT1TokenizerConfig().build(texts=["a"])
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"openai-community/openai-gpt: the hub needs pip install gptkit\[hub\]; tokenizer.path="):
        GPT1TokenizerConfig(path="official", cleaning="transformers").build(texts=[])


def test_empty_text_and_half_of_a_surrogate_pair_are_errors(gpt1_config: GPT1TokenizerConfig, gpt1: GPT1Tokenizer) -> None:
    with pytest.raises(DataError, match="no words to train on"):
        gpt1_config.build(texts=["", " \n"])
    for encode in (gpt1.encode, lambda text: gpt1_config.build(texts=[text])):
        with pytest.raises(DataError, match=r"U\+D800.* position 2"):
            encode("ab\ud800")
