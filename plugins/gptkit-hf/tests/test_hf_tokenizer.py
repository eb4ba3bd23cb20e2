"""`tokenizer=hf` gives transformers' ids, treats special tokens as the kit does, and comes back from a checkpoint."""

import shutil

import pytest
import transformers
from gptkit_hf import HFTokenizerConfig

from gptkit.errors import CheckpointError, ConfigError

TEXTS = ["Ann and Bob met", "", "  two spaces\n\tand a tab ", "größer 🙂 数", "Cy <|endoftext|> Di"]


def test_ids_are_those_of_transformers(tokenizer_folder):
    built = HFTokenizerConfig(path=str(tokenizer_folder)).build(texts=())
    theirs = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    for text in TEXTS[:4]:
        assert built.encode(text) == theirs(text, add_special_tokens=False).input_ids
        assert built.decode(built.encode(text)) == text
    assert [ids.tolist() for ids in built.encode_batch(TEXTS)] == [built.encode(text) for text in TEXTS]
    assert built.size == len(theirs) == HFTokenizerConfig(path=str(tokenizer_folder)).vocabulary_size()


def test_a_special_token_in_a_text_is_text(tokenizer_folder):
    built = HFTokenizerConfig(path=str(tokenizer_folder)).build(texts=())
    end = built.special["end_of_text"]
    assert end not in built.encode(TEXTS[4])
    assert built.decode(built.encode(TEXTS[4])) == TEXTS[4]
    assert built.decode([*built.encode("Di"), end]) == "Di<|endoftext|>"


def test_saved_and_loaded(tokenizer_folder, tmp_path):
    part = HFTokenizerConfig(path=str(tokenizer_folder))
    built = part.build(texts=())
    built.save(tmp_path)
    loaded = HFTokenizerConfig(path="gone").load(tmp_path)
    assert (loaded.fingerprint, loaded.size, loaded.special) == (built.fingerprint, built.size, built.special)
    assert loaded.encode(TEXTS[3]) == built.encode(TEXTS[3])
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS[0]).input_ids == built.encode(TEXTS[0])
    content = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text(content.replace('"ByteLevel"', '"Metaspace"', 1), encoding="utf-8")
    with pytest.raises(CheckpointError, match="use another checkpoint"):
        part.load(tmp_path)


def test_another_end_of_text(tokenizer_folder):
    first = HFTokenizerConfig(path=str(tokenizer_folder)).build(texts=())
    other = HFTokenizerConfig(path=str(tokenizer_folder), end_of_text="!").build(texts=())
    assert other.special["end_of_text"] == other.encode("!")[0]
    assert other.fingerprint != first.fingerprint
    with pytest.raises(ConfigError, match="no token nothing"):
        HFTokenizerConfig(path=str(tokenizer_folder), end_of_text="nothing").build(texts=())


def test_a_tokenizer_that_names_no_end(tokenizer_folder, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"give tokenizer.end_of_text its spelling \(special: <\|endoftext\|>\)"):
        HFTokenizerConfig(path=str(tmp_path)).build(texts=())


def test_a_folder_without_one(model_folder, tmp_path):
    shutil.copy(model_folder / "config.json", tmp_path / "config.json")
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        HFTokenizerConfig(path=str(tmp_path)).build(texts=())
