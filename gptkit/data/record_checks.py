"""Checks that the records of a split have the type that their reader needs, and are complete."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

from gptkit.data.base import Data
from gptkit.errors import DataError
from gptkit.records import Dialogue, Example, Prompt, Ranking

R = TypeVar("R", Dialogue, Example, Prompt, Ranking)

EMBEDDED = "or one of the embedded sets (gptkit plugins kind=data)"

RECORD_TYPES: dict[type, tuple[str, str, str]] = {
    Dialogue: ("dialogues", "dialogues", f"data=dialogues, {EMBEDDED}"),
    Example: ("labelled examples", "examples", f"data=labelled, {EMBEDDED}"),
    Prompt: ("prompts", "prompts", "data=prompts or data=review_prompts"),
    Ranking: ("rankings", "rankings", f"data=rankings, {EMBEDDED}"),
}
"""For messages: the name of the records of a type, a short form of it, and the sources that yield them."""


def records_of(data: Data, split: str, record_type: type[R], reader: str) -> Iterator[R]:
    """Yield the records of a split, and checks that all of them have one type.

    Args:
        data: the source.
        split: one of its splits.
        record_type: the type that the reader needs.
        reader: the part that reads the records, for messages: `objective=sft`.

    Raises:
        DataError: a record has another type, or the split is empty.
    """
    plural, short, sources = RECORD_TYPES[record_type]
    is_empty = True
    for record in data.records(split):
        if not isinstance(record, record_type):
            raise DataError(f"{reader} reads {plural}, but the source yields {type(record).__name__}s; choose {sources}")
        is_empty = False
        yield record
    if is_empty:
        raise DataError(f"{reader}: the {split} split has no {short}")


def labelled_examples(data: Data, split: str, reader: str) -> Iterator[Example]:
    """Yield the labelled examples of a split. The `where` of each one names its origin, for messages.

    Raises:
        DataError: see `records_of`.
    """
    split_name = "training" if split == "train" else split
    for number, example in enumerate(records_of(data, split, Example, reader), 1):
        yield example if example.where else dataclasses.replace(example, where=f"example {number} of the {split_name} split")


def rankings_of(data: Data, split: str, reader: str) -> Iterator[Ranking]:
    """Yield the rankings of a split.

    Raises:
        DataError: see `records_of`; also if a ranking has fewer than two completions, or not exactly one rank for each.
    """
    for number, ranking in enumerate(records_of(data, split, Ranking, reader), 1):
        completions, ranks = len(ranking.completions), len(ranking.ranks)
        if completions < 2 or ranks != completions:
            raise DataError(
                f"ranking {number} of the {split} split has {completions} completion{'s' * (completions != 1)} and {ranks} "
                f"rank{'s' * (ranks != 1)}; it must have at least two completions, and one rank for each"
            )
        yield ranking
