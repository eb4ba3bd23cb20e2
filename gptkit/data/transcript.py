"""Dialogues as one text with named speakers, in the form of Anthropic's HH-RLHF data (Bai and others 2022, "Training a Helpful and
Harmless Assistant", section 2): a blank line and the speaker before every turn, `"\\n\\nHuman: ...\\n\\nAssistant: ..."`.
"""

from __future__ import annotations

import re

from gptkit.records import Turn

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"

_SPEAKER = re.compile(f"({HUMAN}|{ASSISTANT})")
_ROLES = {HUMAN: "user", ASSISTANT: "assistant"}


def is_transcript(text: str) -> bool:
    """Whether a text has a turn of a speaker and an answer."""
    return text.lstrip().startswith((HUMAN.lstrip(), ASSISTANT.lstrip())) and ASSISTANT.lstrip() in text


def turns_of(transcript: str) -> tuple[Turn, ...]:
    """The turns of a transcript, without the white space around them; a text before the first speaker is the system's.

    Turns stand as they are written: they need not alternate, and may be empty.
    """
    begin, *parts = _SPEAKER.split("\n\n" + transcript.lstrip())
    spoken = [Turn(_ROLES[speaker], text.strip()) for speaker, text in zip(parts[::2], parts[1::2], strict=True)]
    return (Turn("system", begin.strip()), *spoken) if begin.strip() else tuple(spoken)
