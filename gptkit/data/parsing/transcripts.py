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


def parse_transcript(transcript: str) -> tuple[Turn, ...]:
    """The turns of a transcript, without the white space around them; a text before the first speaker is the system's.

    Turns alternate: what a speaker says who is named twice in a row is one turn. They may be empty.
    """
    begin, *parts = _SPEAKER.split(_whole(transcript))
    turns = [Turn("system", begin.strip())] if begin.strip() else []
    for speaker, text in zip(parts[::2], parts[1::2], strict=True):
        turn = Turn(_ROLES[speaker], text.strip())
        if turns and turns[-1].role == turn.role:
            turn = Turn(turn.role, f"{turns.pop().text}\n\n{turn.text}".strip())
        turns.append(turn)
    return tuple(turns)


def split_at_common_prompt(one: str, other: str) -> tuple[tuple[Turn, ...], str, str] | None:
    """What two transcripts have in common up to an answer of the assistant, and how each goes on; None where that is nothing.

    They are divided at the last answer that begins in both at the same place, after a turn of somebody else. It may differ in
    more than one turn: a model that had more to say than its answer has also written the next speaker.
    """
    first, second = _whole(one), _whole(other)
    end = next(
        (index for index, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), min(len(first), len(second))
    )
    while (end := first.rfind(ASSISTANT, 0, end)) >= 0:
        prompt = parse_transcript(first[:end])
        if not prompt or prompt[-1].role != "assistant":
            return prompt, first[end + len(ASSISTANT) :].strip(), second[end + len(ASSISTANT) :].strip()
    return None


def _whole(transcript: str) -> str:
    """The transcript with the blank line before its first speaker, which files may have lost."""
    return "\n\n" + transcript.lstrip()
