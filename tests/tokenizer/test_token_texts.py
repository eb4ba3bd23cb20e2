"""The texts of the tokens of a sequence add up to the text, and never hold half a character."""

from __future__ import annotations

import pytest

from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.tokenizer.gpt1 import GPT1Tokenizer
from gptkit.tokenizer.token_texts import TokenTexts

BYTES = BytesTokenizerConfig().build(texts=[])


@pytest.mark.parametrize("text", ["", "plain", "naïve — Émile 😀x", "語\u2028 é", "broken \ufffd and whole"])
def test_tokens_add_up_to_the_text(text: str) -> None:
    ids = BYTES.encode(text)
    tokens = TokenTexts(BYTES)(ids)
    assert len(tokens) == len(ids)
    assert "".join(tokens) == text


def test_character_belongs_to_the_token_that_completes_it() -> None:
    assert TokenTexts(BYTES)(BYTES.encode("a—b")) == ("a", "", "", "—", "b")


def test_text_that_ends_inside_a_character_has_a_replacement_character() -> None:
    assert TokenTexts(BYTES)(BYTES.encode("a—")[:-1]) == ("a", "", "\ufffd")


def test_spaces_that_depend_on_the_token_before_are_shown(gpt1: GPT1Tokenizer) -> None:
    ids = gpt1.encode("the cat sat, and the dog sat.")
    assert "".join(TokenTexts(gpt1)(ids)) == gpt1.decode(ids)
