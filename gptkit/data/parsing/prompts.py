"""Table rows as prompts, with the facts that a reward may need to score an answer."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

from gptkit.data.parsing.column_layouts import ColumnLayout
from gptkit.data.parsing.dialogues import SYSTEM_COLUMN, parse_instruction, system_message
from gptkit.data.parsing.messages import as_list, parse_prompt_turns, turns_without_answer, with_system
from gptkit.data.readers.text_lines import is_number
from gptkit.errors import DataError
from gptkit.records import Prompt

LAYOUTS = (
    ColumnLayout((("prompt",),), (SYSTEM_COLUMN,)),
    ColumnLayout((("messages",),), (SYSTEM_COLUMN,)),
    ColumnLayout((("conversations",),), (SYSTEM_COLUMN,)),
    ColumnLayout((("instruction",),), (("input", "context"), SYSTEM_COLUMN)),
    ColumnLayout((("transcript", "text"),)),
)


def parse_prompt(row: Mapping[str, Any], columns: Mapping[str, str]) -> Prompt:
    """Parse the prompt of a row. If the last turn is the assistant's, it is removed.

    Args:
        row: the cells of the row by column. Texts and numbers in columns outside the layout become facts, as text.
        columns: the columns of the layout, as `gptkit.data.parsing.column_layouts.match_columns` returns them for `LAYOUTS`.

    Raises:
        DataError: a cell has the wrong type, a role is unknown, roles do not alternate, or there is no turn of the user to answer.
    """
    facts = {
        column: cell if isinstance(cell, str) else str(cell)
        for column, cell in row.items()
        if column not in columns.values() and (isinstance(cell, str | bool) or is_number(cell))
    }
    if "instruction" in columns:
        return Prompt(parse_instruction(row, columns), facts)
    name = next(name for name in ("prompt", "messages", "conversations", "transcript") if name in columns)
    column, cell, system = columns[name], row[columns[name]], system_message(row, columns)
    if name == "prompt" and not isinstance(as_list(cell), list):
        return Prompt(parse_prompt_turns(column, cell, system), facts)
    turns = turns_without_answer(column, cell)
    turns = turns[:-1] if turns and turns[-1].role == "assistant" else turns
    if not turns or turns[-1].role != "user":
        raise DataError(f"column {column} has no turn of the user to answer")
    return Prompt(with_system(turns, system), facts)


def parse_prompt_before_random_answer(row: Mapping[str, Any], columns: Mapping[str, str]) -> Prompt:
    """Parse the prompt of a row, which ends before one of the answers of its dialogue. The choice depends on the text alone.

    Arguments and errors: as `parse_prompt`.
    """
    whole = parse_prompt(row, columns)
    pairs = enumerate(itertools.pairwise(whole.turns), 1)
    ends = [index for index, (before, turn) in pairs if (before.role, turn.role) == ("user", "assistant")]
    ends.append(len(whole.turns))
    digest = hashlib.sha256(json.dumps([[turn.role, turn.text] for turn in whole.turns]).encode()).digest()
    return Prompt(whole.turns[: ends[int.from_bytes(digest[:8], "big") % len(ends)]], whole.facts)
