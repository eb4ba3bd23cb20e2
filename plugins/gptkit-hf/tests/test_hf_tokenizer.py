"""`tokenizer=hf` produces the ids of transformers, encodes special tokens in texts as text, and is restored from checkpoints."""

import shutil
from pathlib import Path

import pytest
import transformers
from gptkit_hf import HFTokenizerConfig

from gptkit.errors import CheckpointError, ConfigError

TEXTS = ["Ann and Bob met", "", "  two spaces\n\tand a tab ", "größer 🙂 数", "Cy <|endoftext|> Di"]


def test_ids_equal_those_of_transformers(tokenizer_folder: Path) -> None:
    tokenizer = HFTokenizerConfig(path=str(tokenizer_folder)).build(texts=())
    theirs = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    for text in TEXTS[:4]:
        assert tokenizer.encode(text) == theirs(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert [ids.tolist() for ids in tokenizer.encode_batch(TEXTS)] == [tokenizer.encode(text) for text in TEXTS]
    assert tokenizer.size == len(theirs) == HFTokenizerConfig(path=str(tokenizer_folder)).vocabulary_size()


def test_a_special_token_in_a_text_is_ordinary_text(tokenizer_folder: Path) -> None:
    tokenizer = HFTokenizerConfig(path=str(tokenizer_folder)).build(texts=())
    end = tokenizer.special["end_of_text"]
    assert end not in tokenizer.encode(TEXTS[4])
    assert tokenizer.decode(tokenizer.encode(TEXTS[4])) == TEXTS[4]
    assert tokenizer.decode([*tokenizer.encode("Di"), end]) == "Di<|endoftext|>"


def test_a_saved_tokenizer_is_restored_exactly(tokenizer_folder: Path, tmp_path: Path) -> None:
    part = HFTokenizerConfig(path=str(tokenizer_folder))
    tokenizer = part.build(texts=())
    tokenizer.save(tmp_path)
    loaded = HFTokenizerConfig(path="gone").load(tmp_path)
    assert (loaded.fingerprint, loaded.size, loaded.special) == (tokenizer.fingerprint, tokenizer.size, tokenizer.special)
    assert loaded.encode(TEXTS[3]) == tokenizer.encode(TEXTS[3])
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS[0]).input_ids == tokenizer.encode(TEXTS[0])
    content = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text(content.replace('"ByteLevel"', '"Metaspace"', 1), encoding="utf-8")
    with pytest.raises(CheckpointError, match="use another checkpoint"):
        part.load(tmp_path)


def test_another_token_may_end_a_text(tokenizer_folder: Path) -> None:
    first = HFTokenizerConfig(path=str(tokenizer_folder)).build(texts=())
    other = HFTokenizerConfig(path=str(tokenizer_folder), end_of_text="!").build(texts=())
    assert other.special["end_of_text"] == other.encode("!")[0]
    assert other.fingerprint != first.fingerprint
    with pytest.raises(ConfigError, match="no token nothing"):
        HFTokenizerConfig(path=str(tokenizer_folder), end_of_text="nothing").build(texts=())


def test_a_tokenizer_without_eos_token_is_an_error_that_names_the_key(tokenizer_folder: Path, tmp_path: Path) -> None:
    original = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=original.backend_tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"set tokenizer.end_of_text to the spelling of one \(special tokens: <\|endoftext\|>\)"):
        HFTokenizerConfig(path=str(tmp_path)).build(texts=())


def test_a_folder_without_tokenizer_is_an_error(model_folder: Path, tmp_path: Path) -> None:
    shutil.copy(model_folder / "config.json", tmp_path / "config.json")
    with pytest.raises(ConfigError, match="contains no tokenizer"):
        HFTokenizerConfig(path=str(tmp_path)).build(texts=())
