"""Turns as ids: what stands before an answer is the same whether it is learned, scored or sampled from."""

from __future__ import annotations

from typing import Any

import pytest

from gptkit.errors import DataError
from gptkit.objective.chat_tokens import prompt_ids, response_ids
from gptkit.objective.sft.sft_dataset import demonstrations
from gptkit.records import Dialogue, Turn
from gptkit.tokenizer import BytesTokenizerConfig

HISTORY = (
    Turn("system", "Be kind."),
    Turn("user", "Hello?"),
    Turn("assistant", "Hi!"),
    Turn("user", "Your name?"),
    Turn("assistant", "Ann."),
    Turn("user", "Bye."),
)


@pytest.fixture
def tokenizer() -> Any:
    return BytesTokenizerConfig().build(texts=[])


@pytest.mark.parametrize("turns", [HISTORY, HISTORY[:4], HISTORY[:2], HISTORY[2:4]])
def test_what_is_learned_from_begins_as_what_is_sampled_from(tokenizer: Any, turns: tuple[Turn, ...]) -> None:
    whole = Dialogue((*turns, Turn("assistant", "Good.")))
    (learned,) = demonstrations([whole], tokenizer=tokenizer, template="transcript", context=400, learn_all=False, what="training")
    assert learned is not None
    before = prompt_ids(tokenizer, turns, "transcript")
    assert learned.ids.tolist() == [*before, *response_ids(tokenizer, "Good.", "transcript")]
    assert before.count(tokenizer.special["end_of_text"]) == sum(turn.role == "assistant" for turn in turns)


def test_an_empty_prompt_is_end_of_text(tokenizer: Any) -> None:
    assert prompt_ids(tokenizer, (Turn("user", ""),), "plain") == [tokenizer.special["end_of_text"]]


def test_a_plain_prompt_has_no_earlier_exchange(tokenizer: Any) -> None:
    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"))
    with pytest.raises(DataError, match=r"use objective\.template=transcript"):
        prompt_ids(tokenizer, turns, "plain")
