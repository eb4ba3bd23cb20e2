"""Table rows as dialogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptkit.data.parsing.column_layouts import ColumnLayout
from gptkit.data.parsing.messages import parse_answer, parse_prompt_turns, parse_text, parse_turns, with_system
from gptkit.errors import DataError
from gptkit.records import Dialogue, Turn

SYSTEM_COLUMN = ("system",)

LAYOUTS = (
    ColumnLayout((("messages",),), (SYSTEM_COLUMN,)),
    ColumnLayout((("conversations",),), (SYSTEM_COLUMN,)),
    ColumnLayout((("prompt",), ("completion", "response")), (SYSTEM_COLUMN,)),
    ColumnLayout((("instruction",), ("output", "response")), (("input", "context"), SYSTEM_COLUMN)),
    ColumnLayout((("transcript", "text"),)),
)


def parse_dialogue(row: Mapping[str, Any], columns: Mapping[str, str]) -> Dialogue:
    """Parse the dialogue of a row.

    Args:
        row: the cells of the row by column.
        columns: the columns of the layout, as `gptkit.data.parsing.column_layouts.match_columns` returns them for `LAYOUTS`.

    Raises:
        DataError: a cell has the wrong type, a role is unknown, roles do not alternate, or there is no answer.
    """
    system = system_message(row, columns)
    for name in ("messages", "conversations", "transcript"):
        if name in columns:
            turns = with_system(parse_turns(columns[name], row[columns[name]]), system)
            if not any(turn.role == "assistant" for turn in turns):
                raise DataError(f"column {columns[name]} has no turn of the assistant to train on")
            return Dialogue(turns)
    if "prompt" in columns:
        prompt = parse_prompt_turns(columns["prompt"], row[columns["prompt"]], system)
        answer_column = columns["completion"]
    else:
        prompt = parse_instruction(row, columns)
        answer_column = columns["output"]
    return Dialogue((*prompt, Turn("assistant", parse_answer(answer_column, row[answer_column]))))


def parse_instruction(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Turn, ...]:
    """Return the turns of an instruction: the user's turn is the instruction, then a blank line and the input, if there is one."""
    texts = [parse_text(columns["instruction"], row[columns["instruction"]])]
    if "input" in columns and row[columns["input"]] is not None:
        texts.append(parse_text(columns["input"], row[columns["input"]]))
    return with_system((Turn("user", "\n\n".join(text for text in texts if text)),), system_message(row, columns))


def system_message(row: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    """Return the system message of a row, or None if the row has no column for it."""
    cell = row[columns["system"]] if "system" in columns else None
    return None if cell is None else parse_text(columns["system"], cell)
