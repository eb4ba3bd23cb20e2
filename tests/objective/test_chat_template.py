"""The chat template: dialogues as text and as token ids, the same in training, scoring and sampling."""

from __future__ import annotations

from typing import Any

import pytest

from gptkit.data.parsing.transcripts import parse_transcript
from gptkit.errors import DataError
from gptkit.objective.chat_template import TEMPLATES, prompt_ids, prompt_text, render_dialogue, response_ids, response_text
from gptkit.objective.sft.sft_dataset import tokenize_dialogues
from gptkit.records import Dialogue, Turn
from gptkit.tokenizer import BytesTokenizerConfig

SYSTEM, ASK, ANSWER = Turn("system", "Be kind."), Turn("user", "Two plus two?"), Turn("assistant", "Four.")

HISTORY = (
    Turn("system", "Be kind."),
    Turn("user", "Hello?"),
    Turn("assistant", "Hi!"),
    Turn("user", "Your name?"),
    Turn("assistant", "Ann."),
    Turn("user", "Bye."),
)


def test_plain_concatenates_prompt_and_response() -> None:
    assert prompt_text((SYSTEM, ASK), "plain") == "Be kind.\n\nTwo plus two?"
    assert response_text(" Four.", "plain") == " Four."
    assert render_dialogue(Dialogue((ASK, ANSWER)), "plain") == [("Two plus two?", False), ("Four.", True)]


def test_plain_allows_an_empty_prompt() -> None:
    assert prompt_text((), "plain") == ""
    assert (
        render_dialogue(Dialogue((Turn("user", ""), ANSWER)), "plain")
        == render_dialogue(Dialogue((ANSWER,)), "plain")
        == [("", False), ("Four.", True)]
    )


def test_a_transcript_names_the_speakers_and_ends_before_the_answer() -> None:
    turns = (ASK, ANSWER, Turn("user", "Sure?"))
    assert prompt_text(turns, "transcript") == "\n\nHuman: Two plus two?\n\nAssistant: Four.\n\nHuman: Sure?\n\nAssistant:"
    assert prompt_text((SYSTEM, ASK), "transcript") == "Be kind.\n\n\n\nHuman: Two plus two?\n\nAssistant:"


@pytest.mark.parametrize("response", ["Yes.", " Yes."])
def test_a_transcript_has_one_space_before_an_answer(response: str) -> None:
    assert response_text(response, "transcript") == " Yes."


def test_only_answers_are_marked_as_responses() -> None:
    dialogue = Dialogue((SYSTEM, ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes."), Turn("user", "Bye.")))
    assert render_dialogue(dialogue, "transcript") == [
        ("Be kind.\n\n\n\nHuman: Two plus two?\n\nAssistant:", False),
        (" Four.", True),
        ("\n\nHuman: Sure?\n\nAssistant:", False),
        (" Yes.", True),
    ]


@pytest.mark.parametrize(("template", "turns"), [("plain", (SYSTEM, ASK)), ("transcript", (ASK, ANSWER, Turn("user", "Sure?")))])
def test_a_response_follows_the_same_text_in_training_and_sampling(template: str, turns: tuple[Turn, ...]) -> None:
    trained = "".join(text for text, _ in render_dialogue(Dialogue((*turns, Turn("assistant", "Yes."))), template))
    assert trained == prompt_text(turns, template) + response_text("Yes.", template)


def test_a_transcript_can_be_parsed_back() -> None:
    turns = (SYSTEM, ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes."))
    assert parse_transcript("".join(text for text, _ in render_dialogue(Dialogue(turns), "transcript"))) == turns


@pytest.mark.parametrize("turns", [(ASK, ANSWER, ASK, ANSWER), (ASK, ASK, ANSWER), (ASK, ANSWER, ASK)])
def test_plain_rejects_several_exchanges_and_suggests_transcript(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(DataError, match=r"objective\.template=transcript"):
        render_dialogue(Dialogue(turns), "plain")


@pytest.mark.parametrize("template", TEMPLATES)
def test_invalid_dialogues_raise_in_every_template(template: str) -> None:
    with pytest.raises(DataError, match="ends with a turn of the assistant"):
        prompt_text((ASK, ANSWER), template)
    with pytest.raises(DataError, match="nothing to learn"):
        render_dialogue(Dialogue((ASK,)), template)
    with pytest.raises(DataError, match="the role tool; it must be one of system, user, assistant"):
        prompt_text((Turn("tool", "x"),), template)
    with pytest.raises(DataError, match="turn 2 of a dialogue has the role system"):
        prompt_text((ASK, SYSTEM), template)


@pytest.fixture
def tokenizer() -> Any:
    return BytesTokenizerConfig().build(texts=[])


@pytest.mark.parametrize("turns", [HISTORY, HISTORY[:4], HISTORY[:2], HISTORY[2:4]])
def test_training_sequences_start_with_the_ids_of_the_prompt(tokenizer: Any, turns: tuple[Turn, ...]) -> None:
    whole = Dialogue((*turns, Turn("assistant", "Good.")))
    (tokenized,) = tokenize_dialogues(
        [whole], tokenizer=tokenizer, template="transcript", context=400, train_on_prompts=False, split="training"
    )
    assert tokenized is not None
    before = prompt_ids(tokenizer, turns, "transcript")
    assert tokenized.ids.tolist() == [*before, *response_ids(tokenizer, "Good.", "transcript")]
    assert before.count(tokenizer.special["end_of_text"]) == sum(turn.role == "assistant" for turn in turns)


def test_an_empty_prompt_is_end_of_text(tokenizer: Any) -> None:
    assert prompt_ids(tokenizer, (Turn("user", ""),), "plain") == [tokenizer.special["end_of_text"]]


def test_a_plain_prompt_rejects_earlier_exchanges(tokenizer: Any) -> None:
    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"))
    with pytest.raises(DataError, match=r"use objective\.template=transcript"):
        prompt_ids(tokenizer, turns, "plain")
