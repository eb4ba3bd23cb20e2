"""Conversations in files: a line of a .jsonl file is a conversation, as `data=dialogues` reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gptkit.data.parsing.messages import parse_turns
from gptkit.data.readers.jsonl import json_object, replace_surrogates
from gptkit.data.readers.text_lines import read_lines
from gptkit.errors import DataError
from gptkit.records import Turn
from gptkit.user_files import check_regular_file, expand_path


def save_dialogue(name: str, messages: Sequence[Turn]) -> int:
    """Append a conversation to a file, and return the number of its line.

    Raises:
        DataError: nothing has been said, or the file is not a .jsonl file or cannot be written.
    """
    path = _jsonl_path(name, "/save")
    if not any(turn.role == "assistant" for turn in messages):
        raise DataError("nothing has been said yet")
    line = json.dumps({"messages": [{"role": turn.role, "content": turn.text} for turn in messages]}, ensure_ascii=False)
    try:
        if path.exists():
            check_regular_file(path, path.stat())
        with open(path, "a+b") as file:
            file.seek(0)
            before = file.read()
            is_open = bool(before) and not before.endswith(b"\n")
            file.write(b"\n" * is_open + line.encode("utf-8") + b"\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be written: {reason}") from None
    return before.count(b"\n") + is_open + 1


def load_dialogue(argument: str) -> tuple[Turn, ...]:
    """Return the messages in a line of a file.

    Args:
        argument: the name of the file, possibly followed by the number of the line; otherwise, the last line is read.

    Raises:
        DataError: the file cannot be read, or the line does not exist or has no valid messages.
    """
    name, _, last = argument.rpartition(" ")
    wanted = int(last) if name and last.isdecimal() else None
    path = _jsonl_path(name.strip() if wanted is not None else argument, "/load")
    lines = [(number, line) for number, line, _ in read_lines(path, errors="strict") if line.strip()]
    if not lines:
        raise DataError(f"{path}: there is no conversation in this file")
    number, line = lines[-1] if wanted is None else next((each for each in lines if each[0] == wanted), (0, ""))
    if not number:
        raise DataError(f"{path}: there is no conversation in line {wanted}; the last one is in line {lines[-1][0]}")
    where = f"{path}:{number}"
    row = json_object(where, line)
    if "messages" not in row:
        raise DataError(f"{where}: there is no field messages")
    try:
        turns = parse_turns("messages", row["messages"])
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    if not any(turn.role != "system" for turn in turns):
        raise DataError(f"{where}: the conversation has no messages")
    return tuple(Turn(turn.role, replace_surrogates(where, turn.text, field="messages", errors="strict")) for turn in turns)


def _jsonl_path(name: str, command: str) -> Path:
    if Path(name).suffix != ".jsonl":
        raise DataError(f"{command} {name}".rstrip() + f": write {command} and the name of a .jsonl file")
    return expand_path(name)
