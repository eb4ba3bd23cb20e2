"""The tokenizer `char`."""

from __future__ import annotations

import pytest

from gptkit.errors import DataError
from gptkit.tokenizer.char import CharTokenizer


def test_ids_follow_the_code_points_and_end_of_text_is_last() -> None:
    built = CharTokenizer.train(iter(["cab\n", "🙂b"]))
    assert built.encode("\nabc🙂") == [0, 1, 2, 3, 4]
    assert (built.size, built.special) == (6, {"end_of_text": 5})


@pytest.mark.parametrize("unknown", ["é", "`", "🙂", "\x00", "\ud800"])
def test_error_names_an_unknown_character_and_its_position(unknown: str) -> None:
    built = CharTokenizer.train(["abc"])
    for encode in (built.encode, lambda text: built.encode_batch([text])):
        with pytest.raises(DataError, match=rf"U\+{ord(unknown):04X}\) at position 3 .*tokenizer=bytes") as caught:
            encode(f"abc{unknown}a")
        assert "\n" not in str(caught.value)


def test_empty_text_is_an_error() -> None:
    with pytest.raises(DataError, match="no text to train on"):
        CharTokenizer.train(["", ""])
