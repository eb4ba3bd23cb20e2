"""Conversion of table cells to the turns of a dialogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptkit.data.parsing.transcripts import is_transcript, parse_transcript
from gptkit.errors import DataError
from gptkit.records import Turn

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""The role for each name of a role in public datasets."""

FIELDS = (("role", "content"), ("from", "value"))
"""The keys of the role and the text of a message, in the formats of OpenAI and of ShareGPT."""


def parse_text(column: str, cell: Any) -> str:
    """Return the text of a cell, which may be empty.

    Raises:
        DataError: the cell holds something else.
    """
    if isinstance(cell, str):
        return cell
    raise DataError(f"column {column} holds {'null' if cell is None else type(cell).__name__} instead of text")


def parse_answer(column: str, cell: Any) -> str:
    """Return the text of an answer, which is a text or a list of one message of the assistant.

    Raises:
        DataError: the cell holds something else.
    """
    if isinstance(as_list(cell), list):
        turns = parse_turns(column, cell)
        if len(turns) != 1 or turns[0].role != "assistant":
            raise DataError(f"column {column} holds {len(turns)} messages; it must hold a single message of the assistant")
        return turns[0].text
    return parse_text(column, cell)


def parse_turns(column: str, cell: Any) -> tuple[Turn, ...]:
    """Return the turns of a list of messages or of a transcript.

    Raises:
        DataError: the cell is neither, a role is unknown, or roles do not alternate.
    """
    messages = as_list(cell)
    if isinstance(messages, list):
        turns = tuple(_turn(column, index, message) for index, message in enumerate(messages, 1))
        _check_alternation(column, turns)
        return turns
    if isinstance(cell, str) and is_transcript(cell):
        return parse_transcript(cell)
    content = "a text without turns (Human: ... Assistant: ...)" if isinstance(cell, str) else type(cell).__name__
    raise DataError(f"column {column} holds neither a list of messages nor a transcript, but {content}")


def parse_prompt_turns(column: str, cell: Any, system: str | None = None) -> tuple[Turn, ...]:
    """Return the turns of a prompt: a list of messages, a transcript, or a text, which becomes one turn of the user.

    Args:
        column: the name of the column, for errors.
        cell: the content of the cell.
        system: the system message, if the dataset has a column for it.

    Raises:
        DataError: see `parse_turns`; also if the prompt is empty or ends with a turn of the assistant.
    """
    turns = turns_without_answer(column, cell) if _has_turns(cell) else (Turn("user", parse_text(column, cell)),)
    if not turns:
        raise DataError(f"column {column} contains no turn; a prompt must end with a turn of the user")
    if turns[-1].role == "assistant":
        raise DataError(f"column {column} ends with a turn of the assistant; a prompt must end with a turn of the user")
    return with_system(turns, system)


def turns_without_answer(column: str, cell: Any) -> tuple[Turn, ...]:
    """Return the turns of a list of messages or a transcript, without an empty `Assistant:` turn at the end of a transcript."""
    if isinstance(cell, str) and is_transcript(cell):
        turns = parse_transcript(cell)
        return turns[:-1] if turns[-1] == Turn("assistant", "") else turns
    return parse_turns(column, cell)


def with_system(turns: tuple[Turn, ...], system: str | None) -> tuple[Turn, ...]:
    """Return the turns with a system message in front, unless they start with one already or `system` is empty."""
    if not system or (turns and turns[0].role == "system"):
        return turns
    return (Turn("system", system), *turns)


def as_list(cell: Any) -> Any:
    """Convert an object of equally long lists, in which some datasets store messages, to a list of objects; else return it."""
    columns = list(cell.values()) if isinstance(cell, Mapping) else []
    if columns and all(isinstance(values, list) and len(values) == len(columns[0]) for values in columns):
        return [dict(zip(cell, values, strict=True)) for values in zip(*columns, strict=True)]
    return cell


def _has_turns(cell: Any) -> bool:
    return isinstance(as_list(cell), list) or (isinstance(cell, str) and is_transcript(cell))


def _turn(column: str, number: int, message: Any) -> Turn:
    for role, content in FIELDS:
        if isinstance(message, Mapping) and role in message and content in message:
            name = message[role]
            if not isinstance(name, str) or name not in ROLES:
                raise DataError(f"column {column}: turn {number} has the unknown role {name}; known roles are {', '.join(ROLES)}")
            if not isinstance(message[content], str):
                raise DataError(f"column {column}: turn {number} holds {type(message[content]).__name__} instead of text")
            return Turn(ROLES[name], message[content])
    raise DataError(f"column {column}: turn {number} must have role and content, or from and value")


def _check_alternation(column: str, turns: tuple[Turn, ...]) -> None:
    for index, turn in enumerate(turns, 1):
        if turn.role == "system" and index > 1:
            raise DataError(f"column {column}: turn {index} is a system message, which must come first")
        if index > 1 and turn.role == turns[index - 2].role:
            raise DataError(
                f"column {column}: turns {index - 1} and {index} both have the role {turn.role}; "
                "roles must alternate; join the turns or drop one"
            )
