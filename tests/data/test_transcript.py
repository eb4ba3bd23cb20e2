"""Transcripts in the format of HH-RLHF: parsing into turns, and splitting two of them at their common prompt."""

from __future__ import annotations

import pytest

from gptkit.data.parsing.transcripts import is_transcript, parse_transcript, split_at_common_prompt
from gptkit.records import Turn

QUESTION, ANSWER, REPLY = Turn("user", "Hi"), Turn("assistant", "Hello.\n\nHow are you?"), Turn("user", "Fine")
TEXT = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHow are you?\n\nHuman: Fine"


@pytest.mark.parametrize("text", [TEXT, TEXT.lstrip(), "\n" + TEXT + "  \n"])
def test_turns_start_with_a_blank_line_and_a_speaker(text: str) -> None:
    assert parse_transcript(text) == (QUESTION, ANSWER, REPLY)


def test_speaker_without_a_blank_line_is_text() -> None:
    assert parse_transcript("\n\nHuman: Say\nHuman: x") == (Turn("user", "Say\nHuman: x"),)


def test_text_before_the_first_speaker_is_the_system_message() -> None:
    assert parse_transcript("Be kind." + TEXT)[:2] == (Turn("system", "Be kind."), QUESTION)


def test_consecutive_turns_of_a_speaker_are_merged() -> None:
    assert parse_transcript("\n\nHuman: Hi\n\nAssistant: One.\n\nAssistant: Two.") == (QUESTION, Turn("assistant", "One.\n\nTwo."))


@pytest.mark.parametrize(
    ("text", "expected"), [(TEXT, True), ("Human: a\n\nAssistant:", True), ("Human: a", False), ("A tale.", False)]
)
def test_is_transcript_needs_a_speaker_and_an_answer(text: str, expected: bool) -> None:
    assert is_transcript(text) is expected


def test_transcripts_are_split_at_the_last_common_start_of_an_answer() -> None:
    begin = TEXT + "\n\nAssistant:"
    assert split_at_common_prompt(begin + " Good.", begin + " Great.") == ((QUESTION, ANSWER, REPLY), "Good.", "Great.")
    assert split_at_common_prompt(begin + " Good.\n\nHuman: So?\n\nAssistant: So.", begin + " Bad.") == (
        (QUESTION, ANSWER, REPLY),
        "Good.\n\nHuman: So?\n\nAssistant: So.",
        "Bad.",
    )
    assert split_at_common_prompt(begin + " Good.", begin) == ((QUESTION, ANSWER, REPLY), "Good.", "")
    assert split_at_common_prompt(begin + " Same.", begin + " Same.") == ((QUESTION, ANSWER, REPLY), "Same.", "Same.")


def test_second_part_of_an_answer_is_not_split_off() -> None:
    begin = "\n\nHuman: Hi\n\nAssistant: One.\n\nAssistant:"
    assert split_at_common_prompt(begin + " Two.", begin + " Three.") == (
        (QUESTION,),
        "One.\n\nAssistant: Two.",
        "One.\n\nAssistant: Three.",
    )


def test_transcripts_of_different_questions_have_no_common_prompt() -> None:
    assert split_at_common_prompt("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: x") is None
