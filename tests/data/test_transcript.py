"""Transcripts of HH-RLHF's form as turns, and two of them as one prompt with two answers."""

from __future__ import annotations

import pytest

from gptkit.data.parsing.transcripts import is_transcript, parse_transcript, split_at_common_prompt
from gptkit.records import Turn

ASK, ANSWER, AGAIN = Turn("user", "Hi"), Turn("assistant", "Hello.\n\nHow are you?"), Turn("user", "Fine")
TEXT = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHow are you?\n\nHuman: Fine"


@pytest.mark.parametrize("text", [TEXT, TEXT.lstrip(), "\n" + TEXT + "  \n"])
def test_turns_begin_with_a_speaker_behind_a_blank_line(text: str) -> None:
    assert parse_transcript(text) == (ASK, ANSWER, AGAIN)


def test_a_speaker_inside_a_line_is_text() -> None:
    assert parse_transcript("\n\nHuman: Say\nHuman: x") == (Turn("user", "Say\nHuman: x"),)


def test_a_text_before_the_first_speaker_is_the_systems() -> None:
    assert parse_transcript("Be kind." + TEXT)[:2] == (Turn("system", "Be kind."), ASK)


def test_a_speaker_who_is_named_twice_in_a_row_has_one_turn() -> None:
    assert parse_transcript("\n\nHuman: Hi\n\nAssistant: One.\n\nAssistant: Two.") == (ASK, Turn("assistant", "One.\n\nTwo."))


@pytest.mark.parametrize(
    ("text", "is_one"), [(TEXT, True), ("Human: a\n\nAssistant:", True), ("Human: a", False), ("A tale.", False)]
)
def test_what_a_transcript_is(text: str, is_one: bool) -> None:
    assert is_transcript(text) is is_one


def test_two_transcripts_are_divided_at_the_last_answer_that_both_begin_together() -> None:
    begin = TEXT + "\n\nAssistant:"
    assert split_at_common_prompt(begin + " Good.", begin + " Great.") == ((ASK, ANSWER, AGAIN), "Good.", "Great.")
    assert split_at_common_prompt(begin + " Good.\n\nHuman: So?\n\nAssistant: So.", begin + " Bad.") == (
        (ASK, ANSWER, AGAIN),
        "Good.\n\nHuman: So?\n\nAssistant: So.",
        "Bad.",
    )
    assert split_at_common_prompt(begin + " Good.", begin) == ((ASK, ANSWER, AGAIN), "Good.", "")
    assert split_at_common_prompt(begin + " Same.", begin + " Same.") == ((ASK, ANSWER, AGAIN), "Same.", "Same.")


def test_an_answer_in_two_parts_is_not_a_prompt_for_its_second_part() -> None:
    begin = "\n\nHuman: Hi\n\nAssistant: One.\n\nAssistant:"
    assert split_at_common_prompt(begin + " Two.", begin + " Three.") == (
        (ASK,),
        "One.\n\nAssistant: Two.",
        "One.\n\nAssistant: Three.",
    )


def test_transcripts_of_different_questions_have_nothing_in_common() -> None:
    assert split_at_common_prompt("\n\nHuman: a\n\nAssistant: x", "\n\nHuman: b\n\nAssistant: x") is None
