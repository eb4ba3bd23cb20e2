"""Every tokenizer decodes what it encodes, encodes chunks to the ids of the whole text, and loads what it saved."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gptkit.data.base import Chunk
from gptkit.data.tokens.document_chunks import split_chunks
from gptkit.errors import CheckpointError, DataError
from gptkit.tokenizer import (
    BPETokenizerConfig,
    BytesTokenizerConfig,
    CharTokenizerConfig,
    GPT1TokenizerConfig,
    GPT2TokenizerConfig,
    TokenizerConfig,
)
from gptkit.tokenizer.base import END_OF_TEXT, Tokenizer

WORDS = [
    *("The", "the", "don't", "we'll", "I'VE", "x", "1984", "3.14", "½", "naïve", "Straße", "Ελλάδα", "日本語", "中文", "です"),
    *("한국어", "🙂", "👩\u200d👧", "e\u0301", "…", "--", "_", "a_b", "{", "}}", "'", "'s", "\uff0c", "。", "\uff01"),
    *("\u0000", "\u200b", "\u180e", "<|endoftext|>", "<|", "|>"),
]
SPACES = [
    *(" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", " \n", "\r\n", "\t"),
    *("\x0b", "\x1c", "\x1f", "\u0085", "\u00a0", "\u2028", "\u3000", ""),
]


def some_text(seed: int, words: int = 60) -> str:
    generator = random.Random(seed)
    return "".join(generator.choice(SPACES) + generator.choice(WORDS) for _ in range(words)) + generator.choice(SPACES)


CORPUS = [some_text(seed, 200) for seed in range(20)]
PARTS: list[TokenizerConfig] = [BytesTokenizerConfig(), CharTokenizerConfig(), BPETokenizerConfig(size=400), GPT2TokenizerConfig()]
LOSSY: list[TokenizerConfig] = [GPT1TokenizerConfig(size=700, cleaning=cleaning) for cleaning in ("openai", "transformers")]
"""Tokenizers that clean the text, so that decoding does not return it."""

all_parts = pytest.mark.parametrize("part_and_built", [*PARTS, *LOSSY], indirect=True, ids=lambda part: part.name)


@pytest.fixture(scope="module", params=PARTS, ids=lambda part: part.name)
def part_and_built(request: pytest.FixtureRequest) -> tuple[TokenizerConfig, Tokenizer]:
    return request.param, request.param.build(texts=[*CORPUS, "".join(WORDS) + "".join(SPACES)])


@pytest.fixture
def built(part_and_built: tuple[TokenizerConfig, Tokenizer]) -> Tokenizer:
    return part_and_built[1]


@pytest.mark.parametrize("seed", range(100, 130))
def test_decoding_returns_the_encoded_text(built: Tokenizer, seed: int) -> None:
    text = some_text(seed)
    ids = built.encode(text)
    assert built.decode(ids) == text
    assert all(0 <= token < built.size for token in ids)


def test_encode_batch_returns_the_ids_of_encode(built: Tokenizer) -> None:
    texts = [some_text(seed) for seed in range(200, 220)] + ["", "a"]
    assert [ids.tolist() for ids in built.encode_batch(texts)] == [built.encode(text) for text in texts]


def test_name_of_end_of_text_is_encoded_as_text(built: Tokenizer) -> None:
    ids = built.encode(f"a{END_OF_TEXT}b")
    assert built.special["end_of_text"] not in ids
    assert built.decode(ids) == f"a{END_OF_TEXT}b"
    assert built.decode([*built.encode("a"), built.special["end_of_text"], *built.encode("b")]) == f"a{END_OF_TEXT}b"


@pytest.mark.parametrize("seed", range(300, 340))
def test_chunks_have_the_ids_of_the_whole_text(built: Tokenizer, seed: int) -> None:
    """This holds for any chunks of the input and any length of the resulting chunks."""
    generator = random.Random(seed)
    text = some_text(seed, generator.choice([5, 80, 300]))
    borders = sorted(generator.randrange(len(text) + 1) for _ in range(generator.randrange(6)))
    chunks = [Chunk(text[begin:end], end == len(text)) for begin, end in zip([0, *borders], [*borders, len(text)], strict=True)]
    chunks = [Chunk(chunk.text, number == len(chunks) - 1) for number, chunk in enumerate(chunks)]
    chunks = list(split_chunks(chunks, built.split_point, size=generator.choice([1, 7, 50])))
    assert "".join(chunk.text for chunk in chunks) == text
    assert [chunk.is_last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [token for chunk in chunks for token in built.encode(chunk.text)] == built.encode(text)


def test_chunks_are_short_if_the_text_has_split_points() -> None:
    text = "some words. " * 5000
    for part in (BytesTokenizerConfig(), BPETokenizerConfig(size=257)):
        built = part.build(texts=[text])
        assert max(len(chunk.text) for chunk in split_chunks([Chunk(text, True)], built.split_point, size=100)) <= 100
    japanese = "吾輩は猫である。名前はまだ無い。" * 500
    assert max(len(chunk.text) for chunk in split_chunks([Chunk(japanese, True)], built.split_point, size=100)) <= 100


@all_parts
def test_loaded_tokenizer_equals_the_saved_one(part_and_built: tuple[TokenizerConfig, Tokenizer], tmp_path: Path) -> None:
    part, built = part_and_built
    built.save(tmp_path)
    loaded = part.load(tmp_path)
    text = some_text(7)
    assert (loaded.fingerprint, loaded.size, loaded.special) == (built.fingerprint, built.size, built.special)
    assert loaded.encode(text) == built.encode(text)


@all_parts
def test_error_names_a_missing_incomplete_or_altered_file(
    part_and_built: tuple[TokenizerConfig, Tokenizer], tmp_path: Path
) -> None:
    part, built = part_and_built
    built.save(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        for damaged in (None, content[: len(content) // 2], b"", b"[]", content.replace(b"a", b"b").replace(b"1", b"2")):
            if damaged is None:
                path.unlink()
            else:
                path.write_bytes(damaged)
            with pytest.raises(CheckpointError) as caught:
                part.load(tmp_path)
            assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
        path.write_bytes(content)
    part.load(tmp_path)


def test_half_of_a_surrogate_pair_is_an_error(built: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"U\+D800.* position 2"):
        built.encode("ab\ud800")


def test_different_tokenizers_have_different_fingerprints() -> None:
    texts = ["hello world, hello words", "another text"]
    built = [
        part.build(texts=texts)
        for part in (
            BytesTokenizerConfig(),
            CharTokenizerConfig(),
            BPETokenizerConfig(size=257),
            BPETokenizerConfig(size=260),
            GPT2TokenizerConfig(),
        )
    ]
    built.append(CharTokenizerConfig().build(texts=["hello"]))
    assert len({each.fingerprint for each in built}) == len(built)
