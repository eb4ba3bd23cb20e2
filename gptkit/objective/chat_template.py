"""How dialogues and prompts become text: the key `objective.template` of every objective that reads them.

`plain` joins one exchange as a document would go on: the prompt, and the response directly behind it. `transcript` names the
speakers before every turn as `gptkit.data.parsing.transcripts` says. In both a system message and a blank line come first.

What stands before a response and the response are different texts, to be encoded apart: their tokens are then the same in
training, where the response is known, and in sampling, where it is not.
"""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.data.parsing.transcripts import ASSISTANT, HUMAN
from gptkit.errors import DataError
from gptkit.records import Dialogue, Turn

TEMPLATES = ("plain", "transcript")

ROLES = ("system", "user", "assistant")


def prompt_text(turns: Sequence[Turn], template: str) -> str:
    """What stands before the response: an empty text for no turns in `plain`.

    Raises:
        DataError: the last turn is the assistant's, a role is unknown or out of place, or `plain` is given a dialogue.
    """
    _refuse_misplaced(turns)
    if turns and turns[-1].role == "assistant":
        raise DataError("a prompt ends with a turn of the assistant; it must end where the assistant is to answer")
    if template == "plain":
        return _exchange(turns)
    return "".join(_written(turn) for turn in turns) + ASSISTANT


def response_text(text: str, template: str) -> str:
    """The response as it stands behind the prompt: in `plain` exactly as given, in `transcript` after one space."""
    return text if template == "plain" else " " + text.removeprefix(" ")


def pieces(dialogue: Dialogue, template: str) -> list[tuple[str, bool]]:
    """The dialogue's text in order, in pieces; True for one that the assistant wrote, which is what is learned.

    Every answer is a piece, and whatever stands before it another, possibly empty. Turns behind the last answer are left out.

    Raises:
        DataError: there is no answer, a role is unknown or out of place, or `plain` is given more than one exchange.
    """
    _refuse_misplaced(dialogue.turns)
    answers = [place for place, turn in enumerate(dialogue.turns) if turn.role == "assistant"]
    if not answers:
        raise DataError("a dialogue has no turn of the assistant, so there is nothing to learn from it")
    if template == "plain" and (len(answers) > 1 or len(dialogue.turns) > answers[0] + 1):
        raise _too_much()
    found, begin = [], 0
    for place in answers:
        found.append((prompt_text(dialogue.turns[begin:place], template), False))
        found.append((response_text(dialogue.turns[place].text, template), True))
        begin = place + 1
    return found


def _exchange(turns: Sequence[Turn]) -> str:
    """[system + blank line] + user."""
    system, rest = ("", turns) if not turns or turns[0].role != "system" else (turns[0].text + "\n\n", turns[1:])
    if len(rest) > 1:
        raise _too_much()
    return system + "".join(turn.text for turn in rest)


def _too_much() -> DataError:
    return DataError(
        "a dialogue has more than one exchange, and objective.template=plain has no words for who speaks; "
        "use objective.template=transcript"
    )


def _written(turn: Turn) -> str:
    if turn.role == "system":
        return turn.text + "\n\n"
    return f"{HUMAN if turn.role == 'user' else ASSISTANT} {turn.text}"


def _refuse_misplaced(turns: Sequence[Turn]) -> None:
    for place, turn in enumerate(turns):
        if turn.role not in ROLES:
            raise DataError(f"turn {place + 1} of a dialogue has the role {turn.role}; it must be one of {', '.join(ROLES)}")
        if turn.role == "system" and place:
            raise DataError(f"turn {place + 1} of a dialogue is the system's; a system message must come first")
