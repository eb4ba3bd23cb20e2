"""GPT-1's tokenizer: its pipeline against the released one written out, transformers, cutting, files."""

from __future__ import annotations

import json
import random
import re
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import pytest

from gptkit.data.base import Chunk
from gptkit.data.tokens.document_chunks import split_chunks
from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer import GPT1TokenizerConfig
from gptkit.tokenizer.base import END_OF_TEXT
from gptkit.tokenizer.gpt1 import (
    LINE_BREAK,
    SUFFIX,
    UNKNOWN,
    BackslashGPT1Tokenizer,
    GPT1Tokenizer,
    ReleasedGPT1Tokenizer,
    TransformersGPT1Tokenizer,
)
from gptkit.tokenizer.gpt1_cleaning import fix_encoding, last_split_point
from gptkit.tokenizer.gpt1_files import from_folder, load_published

WORDS = [
    *("The", "the", "don't", "we'll", "I'VE", "x", "1984", "3.14", "½", "naïve", "Straße", "ΣΑΣ", "日本語", "U.S.", "p.m.", "15K"),
    *(
        "🙂",
        "e\u0301",
        "…",
        "--",
        "—",
        "_",
        "a_b",
        "{",
        "}}",
        "'",
        "'s",
        ":)",
        ": - )",
        "“quoted”",
        "it\u2019s",
        "l\u2019Ã©tÃ©",
        "&amp;",
        "<b>",
    ),
    *("\u0000", "\u200b", "\x1b[31m", END_OF_TEXT, UNKNOWN, "http://a.b/c?d=e", "no-one", "etc.)", "ﬁne", "\u00b4", "$5,000.00"),
    *("C:\\dir", "\\\\", "a\\b+\\+"),
]
SPACES = [" "] * 12 + ["  ", "\n", "\n\n", " \n", "\r\n", "\r", "\t", "\x0b", "\x1c", "\u0085", "\u00a0", "\u2028", "\u3000", ""]


def some_text(seed: int, words: int = 60) -> str:
    draw = random.Random(seed)
    return "".join(draw.choice(SPACES) + draw.choice(WORDS) for _ in range(words)) + draw.choice(SPACES)


CORPUS = [some_text(seed, 200) for seed in range(20)]


@pytest.fixture(scope="module", params=["openai", "transformers"])
def part(request: pytest.FixtureRequest) -> GPT1TokenizerConfig:
    return GPT1TokenizerConfig(size=700, cleaning=request.param)


@pytest.fixture(scope="module")
def built(part: GPT1TokenizerConfig) -> GPT1Tokenizer:
    made = part.build(texts=CORPUS)
    assert isinstance(made, GPT1Tokenizer)
    return made


@pytest.fixture(scope="module")
def released() -> GPT1Tokenizer:
    return ReleasedGPT1Tokenizer.train(CORPUS, size=700)


@pytest.fixture
def folder(released: GPT1Tokenizer, tmp_path: Path) -> Path:
    """Files as OpenAI published theirs: no end-of-text."""
    vocabulary = {entry: token for entry, token in released.vocabulary.items() if entry != END_OF_TEXT}
    (tmp_path / "encoder_bpe_40000.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, released.merges), ""]
    (tmp_path / "vocab_40000.bpe").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def joined(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Byte-pair encoding by its definition: the merge that was learnt first, wherever it applies, until none does."""
    parts = [*word[:-1], word[-1] + SUFFIX]
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    while len(parts) > 1:
        best = min(pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        at = 0
        while at < len(parts) - 1:
            if (parts[at], parts[at + 1]) == best:
                parts[at : at + 2] = ["".join(best)]
            at += 1
    return parts


def plain_pipeline(text: str, built: GPT1Tokenizer) -> list[int]:
    """Ids by the steps of the released code, one after the other, on the whole text."""
    import ftfy
    from spacy.lang.en import English

    text = "\n".join(ftfy.fix_text(line) for line in text.split("\n"))
    for dash in "\u2014\u2013\u2015":
        text = text.replace(dash, "-")
    text = text.replace("\u2026", "...").replace("\u00b4", "'")
    for sign in '-~!";?+,)(/*[]}{|_':  # and no backslash: the released code's string is not raw, and turns it into a plus sign
        text = re.sub(f"({re.escape(sign)}+)", r" \1 ", text)
    text = re.sub(r"\s*\n\s*", " \n ", text)
    text = re.sub(r"[^\S\n]+", " ", text).strip()
    found: list[int] = []
    for token in English().tokenizer(text):
        parts = [LINE_BREAK] if "\n" in token.text else joined(token.text.lower(), built.merges)
        found += [built.vocabulary.get(part, 0) for part in parts]
    return found


@pytest.mark.parametrize("seed", range(100, 106))
def test_ids_are_those_of_the_released_pipeline(released: GPT1Tokenizer, seed: int) -> None:
    text = some_text(seed, 150)
    assert released.encode(text) == plain_pipeline(text, released)


def test_what_ftfy_would_not_change_is_not_given_to_it() -> None:
    import ftfy

    draw = random.Random(0)
    characters = [chr(code) for code in range(128) if chr(code) not in "\r\x1b"]
    for _ in range(300):
        text = "".join(draw.choices(characters, k=20))
        assert fix_encoding(text) == "".join(ftfy.fix_text(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text))


def test_ids_are_those_of_transformers(released: GPT1Tokenizer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", minversion="5")
    ours = TransformersGPT1Tokenizer(released.vocabulary, released.merges)
    theirs = transformers.OpenAIGPTTokenizer(released.vocabulary, released.merges)
    for seed in range(200, 230):
        text = some_text(seed).replace(UNKNOWN, "")  # what spells a special token is one for transformers, and text for the kit
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_ids_of_a_learnt_vocabulary_are_laid_out_as_the_official_ones(built: GPT1Tokenizer) -> None:
    entries = sorted(built.vocabulary, key=built.vocabulary.__getitem__)
    assert (entries[0], entries[-2:]) == (UNKNOWN, [LINE_BREAK, END_OF_TEXT])
    assert built.size == len(entries) <= 700
    assert entries[-2 - len(built.merges) : -2] == ["".join(pair) for pair in built.merges]
    symbols = entries[1 : -2 - len(built.merges)]
    assert all(len(symbol.removesuffix(SUFFIX)) == 1 for symbol in symbols)
    assert built.special == {"end_of_text": built.size - 1}


def test_unknown_symbols_are_id_0_each(built: GPT1Tokenizer) -> None:
    assert built.encode("\u0bcc\u0bcd" if built.cleaning == "openai" else "\u16a0\u16a1") == [0, 0]


def test_decoded_text_can_be_read() -> None:
    text = "The old man (who was 80) didn't stop; he'd seen it.\nIt's late, isn't it?"
    built = ReleasedGPT1Tokenizer.train([text] * 3, size=480)
    assert built.decode(built.encode(text)) == text.lower().replace("\n", "\n")
    ids = [*built.encode("The old man"), built.special["end_of_text"], *built.encode("it")]
    assert built.decode(ids) == f"the old man{END_OF_TEXT}it"


def test_text_that_is_decoded_as_it_comes_is_never_taken_back(built: GPT1Tokenizer) -> None:
    from gptkit.generation.text_stream import TextStream

    for seed in range(300, 310):
        before, ids = built.encode(some_text(seed, 5)), built.encode(some_text(seed + 50))
        stream = TextStream(built, before)
        text = "".join(stream.push([token]) for token in ids) + stream.finish()
        assert built.decode(before) + text == built.decode(before + ids)


def test_special_tokens_that_a_text_spells_are_text(built: GPT1Tokenizer) -> None:
    assert built.special["end_of_text"] not in built.encode(f"a {END_OF_TEXT} b")
    assert 0 not in built.encode(f"a {UNKNOWN} b")


@pytest.mark.parametrize("seed", range(400, 440))
def test_pieces_give_the_ids_of_the_whole(built: GPT1Tokenizer, seed: int) -> None:
    draw = random.Random(seed)
    text = some_text(seed, draw.choice([5, 80, 300]))
    chunks = list(split_chunks([Chunk(text, True)], built.split_point, size=draw.choice([1, 7, 50])))
    assert "".join(chunk.text for chunk in chunks) == text
    assert [token for chunk in chunks for token in built.encode(chunk.text)] == built.encode(text)


def test_pieces_are_short_where_lines_are(built: GPT1Tokenizer) -> None:
    text = "Some “words” of a line, and more.\n\n" * 2000
    assert max(len(chunk.text) for chunk in split_chunks([Chunk(text, True)], built.split_point, size=200)) <= 200


def test_a_line_that_ftfy_would_read_in_another_way_is_not_cut() -> None:
    assert last_split_point("&amp; <b>\n") == 0  # the entity stays as it is where the line has a tag
    assert last_split_point("first line\n&amp; <b>\n") == len("first")


def test_batches_give_the_same_ids(built: GPT1Tokenizer) -> None:
    texts = [some_text(seed) for seed in range(200, 220)] + ["", "a", "\n"]
    assert [ids.tolist() for ids in built.encode_batch(texts)] == [built.encode(text) for text in texts]


def test_a_tokenizer_that_was_saved_as_splitting_at_backslashes_still_does(released: GPT1Tokenizer, tmp_path: Path) -> None:
    """`openai` is how the kit saved it before the released code's expression was read to the letter."""
    before = BackslashGPT1Tokenizer(released.vocabulary, released.merges)
    for built, form in ((before, "openai"), (released, "released")):
        folder = tmp_path / form
        folder.mkdir()
        built.save(folder)
        assert json.loads((folder / "gpt1.json").read_text())["cleaning"] == form
        found = GPT1TokenizerConfig().load(folder)
        assert (type(found), found.fingerprint) == (type(built), built.fingerprint)
        assert found.encode("a\\b") == built.encode("a\\b")
    assert before.fingerprint != released.fingerprint
    assert before.encode("a\\b") == released.encode("a \\ b") != released.encode("a\\b")


def test_the_two_cleanings_have_fingerprints_of_their_own(released: GPT1Tokenizer) -> None:
    other = TransformersGPT1Tokenizer(released.vocabulary, released.merges)
    assert other.fingerprint != released.fingerprint
    assert other.encode("don't") != released.encode("don't")


def test_official_files_are_read_and_given_an_end_of_text(folder: Path, released: GPT1Tokenizer) -> None:
    found = load_published(str(folder), "openai")
    assert found.fingerprint == released.fingerprint
    (folder / "encoder_bpe_40000.json").rename(folder / "vocab.json")
    (folder / "vocab_40000.bpe").rename(folder / "merges.txt")
    assert from_folder(folder, ReleasedGPT1Tokenizer).fingerprint == released.fingerprint


def test_files_that_are_none_are_named(folder: Path, tmp_path: Path) -> None:
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


def test_merges_that_are_cut_off_are_named(folder: Path, released: GPT1Tokenizer) -> None:
    lines = (folder / "vocab_40000.bpe").read_text(encoding="utf-8").splitlines()
    (folder / "vocab_40000.bpe").write_text("\n".join(lines[:-30]) + "\n", encoding="utf-8")
    kept = len(released.merges) - 30
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
def test_a_file_of_the_library_that_is_no_bpe(tmp_path: Path, model: object, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}), encoding="utf-8")
    with pytest.raises(DataError, match=rf"tokenizer\.json.*{message}"):
        from_folder(tmp_path, TransformersGPT1Tokenizer)


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(ConfigError, match=r"ftfy is missing: pip install gptkit\[gpt1\], or .* tokenizer.cleaning=transformers"):
        GPT1TokenizerConfig().build(texts=["a"])
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"openai-community/openai-gpt: the hub needs pip install gptkit\[hub\]; tokenizer.path="):
        GPT1TokenizerConfig(path="official", cleaning="transformers").build(texts=[])


def test_no_text_and_half_a_character_are_errors(part: GPT1TokenizerConfig, built: GPT1Tokenizer) -> None:
    with pytest.raises(DataError, match="no words to train on"):
        part.build(texts=["", " \n"])
    for refuse in (built.encode, lambda text: part.build(texts=[text])):
        with pytest.raises(DataError, match=r"U\+D800.* position 2"):
            refuse("ab\ud800")
