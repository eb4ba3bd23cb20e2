"""Dialogues as text: what is read, what is learned, and what no template can write."""

from __future__ import annotations

import pytest

from gptkit.data.parsing.transcripts import parse_transcript
from gptkit.errors import DataError
from gptkit.objective.chat_template import TEMPLATES, pieces, prompt_text, response_text
from gptkit.records import Dialogue, Turn

SYSTEM, ASK, ANSWER = Turn("system", "Be kind."), Turn("user", "Two plus two?"), Turn("assistant", "Four.")


def test_plain_is_the_prompt_and_the_response_directly_behind_it() -> None:
    assert prompt_text((SYSTEM, ASK), "plain") == "Be kind.\n\nTwo plus two?"
    assert response_text(" Four.", "plain") == " Four."
    assert pieces(Dialogue((ASK, ANSWER)), "plain") == [("Two plus two?", False), ("Four.", True)]


def test_plain_may_have_no_prompt() -> None:
    assert prompt_text((), "plain") == ""
    assert (
        pieces(Dialogue((Turn("user", ""), ANSWER)), "plain")
        == pieces(Dialogue((ANSWER,)), "plain")
        == [("", False), ("Four.", True)]
    )


def test_a_transcript_names_the_speakers_and_ends_where_the_assistant_answers() -> None:
    turns = (ASK, ANSWER, Turn("user", "Sure?"))
    assert prompt_text(turns, "transcript") == "\n\nHuman: Two plus two?\n\nAssistant: Four.\n\nHuman: Sure?\n\nAssistant:"
    assert prompt_text((SYSTEM, ASK), "transcript") == "Be kind.\n\n\n\nHuman: Two plus two?\n\nAssistant:"


@pytest.mark.parametrize("response", ["Yes.", " Yes."])
def test_one_space_stands_before_an_answer_in_a_transcript(response: str) -> None:
    assert response_text(response, "transcript") == " Yes."


def test_every_answer_is_learned_and_nothing_else() -> None:
    dialogue = Dialogue((SYSTEM, ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes."), Turn("user", "Bye.")))
    assert pieces(dialogue, "transcript") == [
        ("Be kind.\n\n\n\nHuman: Two plus two?\n\nAssistant:", False),
        (" Four.", True),
        ("\n\nHuman: Sure?\n\nAssistant:", False),
        (" Yes.", True),
    ]


@pytest.mark.parametrize(("template", "turns"), [("plain", (SYSTEM, ASK)), ("transcript", (ASK, ANSWER, Turn("user", "Sure?")))])
def test_a_response_stands_behind_the_same_text_in_training_and_in_sampling(template: str, turns: tuple[Turn, ...]) -> None:
    trained = "".join(text for text, _ in pieces(Dialogue((*turns, Turn("assistant", "Yes."))), template))
    assert trained == prompt_text(turns, template) + response_text("Yes.", template)


def test_a_transcript_can_be_read_back() -> None:
    turns = (SYSTEM, ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes."))
    assert parse_transcript("".join(text for text, _ in pieces(Dialogue(turns), "transcript"))) == turns


@pytest.mark.parametrize("turns", [(ASK, ANSWER, ASK, ANSWER), (ASK, ASK, ANSWER), (ASK, ANSWER, ASK)])
def test_plain_refuses_more_than_one_exchange_and_names_the_template_that_takes_it(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(DataError, match=r"objective\.template=transcript"):
        pieces(Dialogue(turns), "plain")


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_no_template_can_write(template: str) -> None:
    with pytest.raises(DataError, match="ends with a turn of the assistant"):
        prompt_text((ASK, ANSWER), template)
    with pytest.raises(DataError, match="nothing to learn"):
        pieces(Dialogue((ASK,)), template)
    with pytest.raises(DataError, match="the role tool; it must be one of system, user, assistant"):
        prompt_text((Turn("tool", "x"),), template)
    with pytest.raises(DataError, match="turn 2 of a dialogue is the system's"):
        prompt_text((ASK, SYSTEM), template)
