"""GPT-1's tokenizer: its ids are those of the released code and of transformers, and texts are decoded and split."""

from __future__ import annotations

import random
import re
import warnings
from itertools import pairwise

import pytest

from gptkit.data.base import Chunk
from gptkit.data.tokens.document_chunks import split_chunks
from gptkit.tokenizer.base import END_OF_TEXT
from gptkit.tokenizer.gpt1 import LINE_BREAK, SUFFIX, UNKNOWN, GPT1Tokenizer, ReleasedGPT1Tokenizer, TransformersGPT1Tokenizer
from gptkit.tokenizer.gpt1_cleaning import fix_encoding, last_split_point
from tests.tokenizer.gpt1_texts import some_text


def slow_bpe(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Byte-pair encoding by its definition: apply the earliest merge wherever it matches, until no merge matches."""
    parts = [*word[:-1], word[-1] + SUFFIX]
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    while len(parts) > 1:
        best = min(pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        index = 0
        while index < len(parts) - 1:
            if (parts[index], parts[index + 1]) == best:
                parts[index : index + 2] = ["".join(best)]
            index += 1
    return parts


def slow_pipeline(text: str, built: GPT1Tokenizer) -> list[int]:
    """Return the ids by applying each step of the released code to the whole text."""
    import ftfy
    from spacy.lang.en import English

    text = "\n".join(ftfy.fix_text(line) for line in text.split("\n"))
    for dash in "\u2014\u2013\u2015":
        text = text.replace(dash, "-")
    text = text.replace("\u2026", "...").replace("\u00b4", "'")
    # the backslash is missing: the released code's string is not raw, which turns it into a plus sign
    for sign in '-~!";?+,)(/*[]}{|_':
        text = re.sub(f"({re.escape(sign)}+)", r" \1 ", text)
    text = re.sub(r"\s*\n\s*", " \n ", text)
    text = re.sub(r"[^\S\n]+", " ", text).strip()
    ids: list[int] = []
    for token in English().tokenizer(text):
        parts = [LINE_BREAK] if "\n" in token.text else slow_bpe(token.text.lower(), built.merges)
        ids += [built.vocabulary.get(part, 0) for part in parts]
    return ids


@pytest.mark.parametrize("seed", range(100, 106))
def test_ids_are_those_of_the_released_pipeline(released_gpt1: GPT1Tokenizer, seed: int) -> None:
    text = some_text(seed, 150)
    assert released_gpt1.encode(text) == slow_pipeline(text, released_gpt1)


def test_text_that_skips_ftfy_equals_its_output() -> None:
    import ftfy

    generator = random.Random(0)
    characters = [chr(code) for code in range(128) if chr(code) not in "\r\x1b"]
    for _ in range(300):
        text = "".join(generator.choices(characters, k=20))
        assert fix_encoding(text) == "".join(ftfy.fix_text(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text))


def test_ids_are_those_of_transformers(released_gpt1: GPT1Tokenizer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", minversion="5")
    ours = TransformersGPT1Tokenizer(released_gpt1.vocabulary, released_gpt1.merges)
    theirs = transformers.OpenAIGPTTokenizer(released_gpt1.vocabulary, released_gpt1.merges)
    for seed in range(200, 230):
        text = some_text(seed).replace(UNKNOWN, "")  # transformers treats the name of a special token as the token, gptkit as text
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_trained_vocabulary_has_the_layout_of_the_official_one(gpt1: GPT1Tokenizer) -> None:
    entries = sorted(gpt1.vocabulary, key=gpt1.vocabulary.__getitem__)
    assert (entries[0], entries[-2:]) == (UNKNOWN, [LINE_BREAK, END_OF_TEXT])
    assert gpt1.size == len(entries) <= 700
    assert entries[-2 - len(gpt1.merges) : -2] == ["".join(pair) for pair in gpt1.merges]
    symbols = entries[1 : -2 - len(gpt1.merges)]
    assert all(len(symbol.removesuffix(SUFFIX)) == 1 for symbol in symbols)
    assert gpt1.special == {"end_of_text": gpt1.size - 1}


def test_each_unknown_symbol_is_id_0(gpt1: GPT1Tokenizer) -> None:
    assert gpt1.encode("\u0bcc\u0bcd" if gpt1.cleaning == "openai" else "\u16a0\u16a1") == [0, 0]


def test_decoded_text_has_readable_spacing() -> None:
    text = "The old man (who was 80) didn't stop; he'd seen it.\nIt's late, isn't it?"
    built = ReleasedGPT1Tokenizer.train([text] * 3, size=480)
    assert built.decode(built.encode(text)) == text.lower()
    ids = [*built.encode("The old man"), built.special["end_of_text"], *built.encode("it")]
    assert built.decode(ids) == f"the old man{END_OF_TEXT}it"


def test_streamed_text_equals_the_decoded_text(gpt1: GPT1Tokenizer) -> None:
    from gptkit.generation.text_stream import TextStream

    for seed in range(300, 310):
        before, ids = gpt1.encode(some_text(seed, 5)), gpt1.encode(some_text(seed + 50))
        stream = TextStream(gpt1, before)
        text = "".join(stream.push([token]) for token in ids) + stream.finish()
        assert gpt1.decode(before) + text == gpt1.decode(before + ids)


def test_names_of_special_tokens_are_encoded_as_text(gpt1: GPT1Tokenizer) -> None:
    assert gpt1.special["end_of_text"] not in gpt1.encode(f"a {END_OF_TEXT} b")
    assert 0 not in gpt1.encode(f"a {UNKNOWN} b")


@pytest.mark.parametrize("seed", range(400, 440))
def test_chunks_have_the_ids_of_the_whole_text(gpt1: GPT1Tokenizer, seed: int) -> None:
    generator = random.Random(seed)
    text = some_text(seed, generator.choice([5, 80, 300]))
    chunks = list(split_chunks([Chunk(text, True)], gpt1.split_point, size=generator.choice([1, 7, 50])))
    assert "".join(chunk.text for chunk in chunks) == text
    assert [token for chunk in chunks for token in gpt1.encode(chunk.text)] == gpt1.encode(text)


def test_chunks_are_short_if_lines_are_short(gpt1: GPT1Tokenizer) -> None:
    text = "Some “words” of a line, and more.\n\n" * 2000
    assert max(len(chunk.text) for chunk in split_chunks([Chunk(text, True)], gpt1.split_point, size=200)) <= 200


def test_line_is_not_split_where_ftfy_depends_on_all_of_it() -> None:
    assert last_split_point("&amp; <b>\n") == 0  # ftfy does not unescape entities in a line with a tag
    assert last_split_point("first line\n&amp; <b>\n") == len("first")


def test_encode_batch_returns_the_ids_of_encode(gpt1: GPT1Tokenizer) -> None:
    texts = [some_text(seed) for seed in range(200, 220)] + ["", "a", "\n"]
    assert [ids.tolist() for ids in gpt1.encode_batch(texts)] == [gpt1.encode(text) for text in texts]
