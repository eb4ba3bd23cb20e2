"""Rows of tables as dialogues, rankings or prompts: the records in which somebody speaks in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gptkit.data.parsing import dialogues, prompts, rankings
from gptkit.data.parsing.column_layouts import ColumnLayout, match_columns
from gptkit.errors import DataError
from gptkit.records import Dialogue, Prompt, Ranking

ConversationRecord = Dialogue | Ranking | Prompt
"""The records of which somebody speaks in turns."""


@dataclass(frozen=True)
class RecordParser:
    """How records are read: the shapes that a row may have, and the function from row and columns to record."""

    shapes: tuple[ColumnLayout, ...]
    read: Callable[[Mapping[str, Any], Mapping[str, str]], ConversationRecord]


RECORD_PARSERS = {
    "dialogues": RecordParser(dialogues.LAYOUTS, dialogues.parse_dialogue),
    "rankings": RecordParser(rankings.LAYOUTS, rankings.parse_ranking),
    "prompts": RecordParser(prompts.LAYOUTS, prompts.parse_prompt),
}


def parse_records(
    rows: Iterable[tuple[str, Mapping[str, Any]]], kind: str, columns: Mapping[str, str], *, empty: str = "stop"
) -> Iterator[ConversationRecord]:
    """The records of rows, in order.

    Args:
        rows: where each stands, for errors, and its cells by column.
        kind: one of `RECORD_PARSERS`.
        columns: which columns hold what, as far as the user says; see `gptkit.data.parsing.column_layouts.match_columns`.
        empty: turns of the user or the assistant that say nothing: stop (an error) or keep.

    Raises:
        DataError: a row is not of this kind, or something is wrong with it: names where it stands.
    """
    reading = RECORD_PARSERS[kind]
    shapes: dict[tuple[str, ...], dict[str, str]] = {}
    for where, row in rows:
        names = tuple(row)
        try:
            if names not in shapes:
                shapes[names] = match_columns(reading.shapes, names, columns)
            record = reading.read(row, shapes[names])
            if empty == "stop":
                _check_not_empty(record)
            yield record
        except DataError as error:
            raise DataError(f"{where}: {error}") from None


def _check_not_empty(record: ConversationRecord) -> None:
    for number, turn in enumerate(record.prompt if isinstance(record, Ranking) else record.turns, 1):
        if turn.role == "user" and not turn.text.strip():
            raise DataError(
                f"turn {number}, the user's, is empty; drop such rows, fill them, or let it say nothing by data.empty=keep"
            )
    if isinstance(record, Ranking):
        answers = [*record.completions, *([] if record.demonstration is None else [record.demonstration])]
    else:
        answers = [turn.text for turn in record.turns if turn.role == "assistant"]
    for index, text in enumerate(answers, 1):
        if not text.strip():
            what = "the demonstration" if isinstance(record, Ranking) and index > len(record.completions) else f"answer {index}"
            raise DataError(f"{what} is empty; drop such rows, fill them, or let the assistant say nothing by data.empty=keep")
