"""Transcripts: dialogues as one text with named speakers, as in Anthropic's HH-RLHF dataset.

Every turn starts with a blank line and the speaker: `"\\n\\nHuman: ...\\n\\nAssistant: ..."`. Source: Bai and others 2022,
"Training a Helpful and Harmless Assistant", section 2.
"""

from __future__ import annotations

import re

from gptkit.records import Turn

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"

_SPEAKER = re.compile(f"({HUMAN}|{ASSISTANT})")
_ROLES = {HUMAN: "user", ASSISTANT: "assistant"}


def is_transcript(text: str) -> bool:
    """Return whether a text starts with a speaker and contains a turn of the assistant."""
    return text.lstrip().startswith((HUMAN.lstrip(), ASSISTANT.lstrip())) and ASSISTANT.lstrip() in text


def parse_transcript(transcript: str) -> tuple[Turn, ...]:
    """Return the turns of a transcript, without surrounding white space. Text before the first speaker is the system message.

    Consecutive turns of the same speaker are merged, so that speakers alternate. Turns may be empty.
    """
    begin, *parts = _SPEAKER.split(_with_leading_blank_line(transcript))
    turns = [Turn("system", begin.strip())] if begin.strip() else []
    for speaker, text in zip(parts[::2], parts[1::2], strict=True):
        turn = Turn(_ROLES[speaker], text.strip())
        if turns and turns[-1].role == turn.role:
            turn = Turn(turn.role, f"{turns.pop().text}\n\n{turn.text}".strip())
        turns.append(turn)
    return tuple(turns)


def split_at_common_prompt(one: str, other: str) -> tuple[tuple[Turn, ...], str, str] | None:
    """Split two transcripts into their common prompt and the rest of each; None if they have no prompt in common.

    They are split at the last answer of the assistant that starts at the same position in both and follows a turn of another
    speaker. The rest may contain further turns: a model may have continued with the next speaker after its answer.
    """
    first, second = _with_leading_blank_line(one), _with_leading_blank_line(other)
    end = next(
        (index for index, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), min(len(first), len(second))
    )
    while (end := first.rfind(ASSISTANT, 0, end)) >= 0:
        prompt = parse_transcript(first[:end])
        if not prompt or prompt[-1].role != "assistant":
            return prompt, first[end + len(ASSISTANT) :].strip(), second[end + len(ASSISTANT) :].strip()
    return None


def _with_leading_blank_line(transcript: str) -> str:
    """Restore the blank line before the first speaker, which some files lack."""
    return "\n\n" + transcript.lstrip()
