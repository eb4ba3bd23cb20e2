"""From the cells of a row to the turns of a dialogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptkit.data.parsing.transcripts import is_transcript, parse_transcript
from gptkit.errors import DataError
from gptkit.records import Turn

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""The names of the roles in public data sets, and the kit's."""

FIELDS = (("role", "content"), ("from", "value"))
"""Where a message has its role and its text: in OpenAI's form, and in ShareGPT's."""


def parse_text(column: str, cell: Any) -> str:
    """The text of a cell, which may be empty.

    Raises:
        DataError: it holds something else.
    """
    if isinstance(cell, str):
        return cell
    raise DataError(f"column {column} holds no text but {'nothing (null)' if cell is None else type(cell).__name__}")


def parse_answer(column: str, cell: Any) -> str:
    """The text of an answer: a text, or messages that are one of the assistant's.

    Raises:
        DataError: it holds something else.
    """
    if isinstance(as_list(cell), list):
        turns = parse_turns(column, cell)
        if len(turns) != 1 or turns[0].role != "assistant":
            raise DataError(f"column {column} holds {len(turns)} messages; it must hold one, the assistant's")
        return turns[0].text
    return parse_text(column, cell)


def parse_turns(column: str, cell: Any) -> tuple[Turn, ...]:
    """The turns of a list of messages, or of a transcript, which alternate.

    Raises:
        DataError: it is neither, a role is unknown, or roles do not alternate.
    """
    messages = as_list(cell)
    if isinstance(messages, list):
        turns = tuple(_turn(column, index, message) for index, message in enumerate(messages, 1))
        _check_alternation(column, turns)
        return turns
    if isinstance(cell, str) and is_transcript(cell):
        return parse_transcript(cell)
    held = "a text without turns (Human: ... Assistant: ...)" if isinstance(cell, str) else type(cell).__name__
    raise DataError(f"column {column} holds neither a list of messages nor a transcript, but {held}")


def parse_prompt_turns(column: str, cell: Any, system: str | None = None) -> tuple[Turn, ...]:
    """The turns that an answer follows: of a list of messages, of a transcript, or else of a text that is all the user's.

    Args:
        system: what the system says before, where the data set has a column for it.

    Raises:
        DataError: as `turns_in`, or the assistant has already answered.
    """
    turns = turns_without_answer(column, cell) if _has_turns(cell) else (Turn("user", parse_text(column, cell)),)
    if not turns:
        raise DataError(f"column {column} holds no turn; a prompt must end with the user's")
    if turns[-1].role == "assistant":
        raise DataError(f"column {column} ends with a turn of the assistant; a prompt must end with the user's")
    return with_system(turns, system)


def turns_without_answer(column: str, cell: Any) -> tuple[Turn, ...]:
    """The turns of a list of messages or a transcript, without a last `Assistant:` that is still to be followed by its answer."""
    if isinstance(cell, str) and is_transcript(cell):
        turns = parse_transcript(cell)
        return turns[:-1] if turns[-1] == Turn("assistant", "") else turns
    return parse_turns(column, cell)


def with_system(turns: tuple[Turn, ...], system: str | None) -> tuple[Turn, ...]:
    """The turns, and first what the system says, unless it says something there already."""
    if not system or (turns and turns[0].role == "system"):
        return turns
    return (Turn("system", system), *turns)


def as_list(cell: Any) -> Any:
    """A list of objects, also where a data set stores it as an object of lists; anything else as it is."""
    columns = list(cell.values()) if isinstance(cell, Mapping) else []
    if columns and all(isinstance(values, list) and len(values) == len(columns[0]) for values in columns):
        return [dict(zip(cell, values, strict=True)) for values in zip(*columns, strict=True)]
    return cell


def _has_turns(cell: Any) -> bool:
    return isinstance(as_list(cell), list) or (isinstance(cell, str) and is_transcript(cell))


def _turn(column: str, place: int, message: Any) -> Turn:
    for role, content in FIELDS:
        if isinstance(message, Mapping) and role in message and content in message:
            name = message[role]
            if not isinstance(name, str) or name not in ROLES:
                raise DataError(f"column {column}: turn {place} has the role {name}; known are {', '.join(ROLES)}")
            if not isinstance(message[content], str):
                raise DataError(f"column {column}: turn {place} holds no text but {type(message[content]).__name__}")
            return Turn(ROLES[name], message[content])
    raise DataError(f"column {column}: turn {place} must have role and content, or from and value")


def _check_alternation(column: str, turns: tuple[Turn, ...]) -> None:
    for index, turn in enumerate(turns, 1):
        if turn.role == "system" and index > 1:
            raise DataError(f"column {column}: turn {index} is the system's; a system message must come first")
        if index > 1 and turn.role == turns[index - 2].role:
            raise DataError(
                f"column {column}: turns {index - 1} and {index} are both the {turn.role}'s; turns must alternate, join or drop one"
            )
