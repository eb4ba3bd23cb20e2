"""Table rows as dialogues, rankings or prompts: the records that consist of turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gptkit.data.parsing import dialogues, prompts, rankings
from gptkit.data.parsing.column_layouts import ColumnLayout, match_columns
from gptkit.errors import DataError
from gptkit.records import Dialogue, Prompt, Ranking

ConversationRecord = Dialogue | Ranking | Prompt
"""The records that consist of turns."""


@dataclass(frozen=True)
class RecordParser:
    """The column layouts of a kind of record, and the function that parses a row and its columns into a record."""

    layouts: tuple[ColumnLayout, ...]
    parse: Callable[[Mapping[str, Any], Mapping[str, str]], ConversationRecord]


RECORD_PARSERS = {
    "dialogues": RecordParser(dialogues.LAYOUTS, dialogues.parse_dialogue),
    "rankings": RecordParser(rankings.LAYOUTS, rankings.parse_ranking),
    "prompts": RecordParser(prompts.LAYOUTS, prompts.parse_prompt),
}

RANDOM_TURN_PARSER = RecordParser(prompts.LAYOUTS, prompts.parse_prompt_before_random_answer)
"""Prompts that end before any answer of their dialogue."""


def parse_records(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    kind: str,
    columns: Mapping[str, str],
    *,
    empty: str = "stop",
    parser: RecordParser | None = None,
) -> Iterator[ConversationRecord]:
    """Yield the records of rows, in order.

    Args:
        rows: the location of each row, for errors, and its cells by column.
        kind: one of `RECORD_PARSERS`.
        columns: the mapping `data.columns`; see `gptkit.data.parsing.column_layouts.match_columns`.
        empty: for empty turns of the user or the assistant: stop (an error) or keep.
        parser: a parser instead of that of the kind.

    Raises:
        DataError: a row has no layout of this kind, or is invalid. The message names the location of the row.
    """
    parser = parser or RECORD_PARSERS[kind]
    matched: dict[tuple[str, ...], dict[str, str]] = {}  # by the columns of a row
    for where, row in rows:
        names = tuple(row)
        try:
            if names not in matched:
                matched[names] = match_columns(parser.layouts, names, columns)
            record = parser.parse(row, matched[names])
            if empty == "stop":
                _check_not_empty(record)
            yield record
        except DataError as error:
            raise DataError(f"{where}: {error}") from None


def _check_not_empty(record: ConversationRecord) -> None:
    for number, turn in enumerate(record.prompt if isinstance(record, Ranking) else record.turns, 1):
        if turn.role == "user" and not turn.text.strip():
            raise DataError(f"turn {number}, the user's, is empty; drop such rows, fill them, or set data.empty=keep")
    if isinstance(record, Ranking):
        answers = [*record.completions, *([] if record.demonstration is None else [record.demonstration])]
    else:
        answers = [turn.text for turn in record.turns if turn.role == "assistant"]
    for index, text in enumerate(answers, 1):
        if not text.strip():
            what = "the demonstration" if isinstance(record, Ranking) and index > len(record.completions) else f"answer {index}"
            raise DataError(f"{what} is empty; drop such rows, fill them, or set data.empty=keep")
