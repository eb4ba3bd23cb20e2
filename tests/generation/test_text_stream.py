from __future__ import annotations

import random
from typing import Any

import pytest

from gptkit.generation.text_stream import TextStream
from gptkit.tokenizer.bpe import BPETokenizer
from gptkit.tokenizer.bytes import BytesTokenizer

TEXT = "Grüße — 日本語, 👩‍🚀 and plain words; " * 3


def pieces_of(tokenizer: Any, ids: Any, stop: Any = ()) -> Any:
    stream = TextStream(tokenizer, [], stop)
    result = [stream.push([token]) for token in ids]
    return [*result, stream.finish()], stream.stopped


@pytest.mark.parametrize("tokenizer", [BytesTokenizer(), BPETokenizer.train([TEXT], size=270)], ids=["bytes", "bpe"])
def test_streaming_never_splits_a_character(tokenizer: Any) -> None:
    ids = tokenizer.encode(TEXT)
    assert len(ids) > len(TEXT)  # characters span several tokens
    pieces, _ = pieces_of(tokenizer, ids)
    assert "".join(pieces) == TEXT
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
    assert sum(map(bool, pieces)) > len(TEXT) // 2


def test_invalid_utf8_streams_as_it_is_decoded() -> None:
    tokenizer, draw = BytesTokenizer(), random.Random(0)
    for _ in range(200):
        ids = [draw.choice([0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80, 0x41, 0xFF, 256]) for _ in range(draw.randint(0, 40))]
        assert "".join(pieces_of(tokenizer, ids)[0]) == tokenizer.decode(ids)


def test_streaming_does_not_repeat_the_prompt() -> None:
    tokenizer = BytesTokenizer()
    stream = TextStream(tokenizer, tokenizer.encode("before ü"))
    assert stream.push(tokenizer.encode("after")) + stream.finish() == "after"


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("one\n\ntwo", ["\n\n"], "one"),
        ("one\ntwo", ["\n\n"], "one\ntwo"),
        ("ababac tail", ["abac"], "ab"),
        ("a stop b END", ["END", "stop"], "a "),
        ("costs 5 €!", ["€"], "costs 5 "),
        ("never", ["x", "neverever"], "never"),
        ("endin", ["ending"], "endin"),
        ("now", ["now"], ""),
    ],
)
def test_stop_strings_are_found_across_tokens(text: str, stop: Any, expected: str) -> None:
    tokenizer = BytesTokenizer()
    pieces, stopped = pieces_of(tokenizer, tokenizer.encode(text), stop)
    assert "".join(pieces) == expected
    assert stopped == any(word in text for word in stop)
    whole = TextStream(tokenizer, [], stop)
    assert whole.push(tokenizer.encode(text)) + whole.finish() == expected
