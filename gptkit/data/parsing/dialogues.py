"""Rows of tables as dialogues."""

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
    """The dialogue of a row.

    Args:
        row: its cells by column.
        columns: which column holds what, as `gptkit.data.parsing.column_layouts.match_columns` finds among `LAYOUTS`.

    Raises:
        DataError: a cell is of the wrong type, a role is unknown, roles do not alternate, or there is no answer.
    """
    system = system_message(row, columns)
    for name in ("messages", "conversations", "transcript"):
        if name in columns:
            turns = with_system(parse_turns(columns[name], row[columns[name]]), system)
            if not any(turn.role == "assistant" for turn in turns):
                raise DataError(f"column {columns[name]} has no turn of the assistant, so there is nothing to learn from it")
            return Dialogue(turns)
    if "prompt" in columns:
        asked = parse_prompt_turns(columns["prompt"], row[columns["prompt"]], system)
        answer = columns["completion"]
    else:
        asked = parse_instruction(row, columns)
        answer = columns["output"]
    return Dialogue((*asked, Turn("assistant", parse_answer(answer, row[answer]))))


def parse_instruction(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Turn, ...]:
    """What is asked by an instruction and the input that it may be about, a blank line between them."""
    texts = [parse_text(columns["instruction"], row[columns["instruction"]])]
    if "input" in columns and row[columns["input"]] is not None:
        texts.append(parse_text(columns["input"], row[columns["input"]]))
    return with_system((Turn("user", "\n\n".join(text for text in texts if text)),), system_message(row, columns))


def system_message(row: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    """What the system says, where the row has a column for it."""
    cell = row[columns["system"]] if "system" in columns else None
    return None if cell is None else parse_text(columns["system"], cell)
