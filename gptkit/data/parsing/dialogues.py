"""Rows of tables as dialogues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptkit.data.parsing.column_layouts import Shape
from gptkit.data.parsing.messages import answer_in, prompt_in, text_in, turns_in, with_system
from gptkit.errors import DataError
from gptkit.records import Dialogue, Turn

SYSTEM = ("system",)

SHAPES = (
    Shape((("messages",),), (SYSTEM,)),
    Shape((("conversations",),), (SYSTEM,)),
    Shape((("prompt",), ("completion", "response")), (SYSTEM,)),
    Shape((("instruction",), ("output", "response")), (("input", "context"), SYSTEM)),
    Shape((("transcript", "text"),)),
)


def to_dialogue(row: Mapping[str, Any], columns: Mapping[str, str]) -> Dialogue:
    """The dialogue of a row.

    Args:
        row: its cells by column.
        columns: which column holds what, as `gptkit.data.parsing.column_layouts.match` finds among `SHAPES`.

    Raises:
        DataError: a cell is of the wrong type, a role is unknown, roles do not alternate, or there is no answer.
    """
    system = system_of(row, columns)
    for name in ("messages", "conversations", "transcript"):
        if name in columns:
            turns = with_system(turns_in(columns[name], row[columns[name]]), system)
            if not any(turn.role == "assistant" for turn in turns):
                raise DataError(f"column {columns[name]} has no turn of the assistant, so there is nothing to learn from it")
            return Dialogue(turns)
    if "prompt" in columns:
        asked = prompt_in(columns["prompt"], row[columns["prompt"]], system)
        answer = columns["completion"]
    else:
        asked = instruction_of(row, columns)
        answer = columns["output"]
    return Dialogue((*asked, Turn("assistant", answer_in(answer, row[answer]))))


def instruction_of(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Turn, ...]:
    """What is asked by an instruction and the input that it may be about, a blank line between them."""
    texts = [text_in(columns["instruction"], row[columns["instruction"]])]
    if "input" in columns and row[columns["input"]] is not None:
        texts.append(text_in(columns["input"], row[columns["input"]]))
    return with_system((Turn("user", "\n\n".join(text for text in texts if text)),), system_of(row, columns))


def system_of(row: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    """What the system says, where the row has a column for it."""
    cell = row[columns["system"]] if "system" in columns else None
    return None if cell is None else text_in(columns["system"], cell)
