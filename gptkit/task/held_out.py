"""Prompts that a run did not learn from, out of whatever records it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptkit.data.splits import held_out_records
from gptkit.errors import DataError
from gptkit.records import Dialogue, Prompt, Ranking, Record

if TYPE_CHECKING:
    from gptkit.data.base import Data


def held_out_prompts(data: Data, *, fraction: float | None, reader: str) -> list[Prompt]:
    """The prompts of the validation split, else of the test split, else of what a run holds out of training; each once.

    Args:
        data: a source of prompts, or of rankings or dialogues, of which the part before the (last) answer is taken.
        fraction: share of the training records that a run holds out where the source has no split of its own for it; None: no run
            reads this source, and all of its records are held out.
        reader: who asks, for messages.

    Raises:
        DataError: the source has other records, or nothing is held out.
    """
    found = [prompt_of(record, reader) for record in held_out_records(data, fraction)]
    once = list({prompt.turns: prompt for prompt in found}.values())
    if not once:
        raise DataError(f"{reader}: the source has no held-out prompts; give another by data=")
    return once


def prompt_of(record: Record, reader: str) -> Prompt:
    """What is asked in a record, without the answer.

    Raises:
        DataError: it is no record in which something is asked.
    """
    if isinstance(record, Prompt):
        return record
    if isinstance(record, Ranking):
        return Prompt(record.prompt)
    if isinstance(record, Dialogue):
        answers = [place for place, turn in enumerate(record.turns) if turn.role == "assistant"]
        return Prompt(record.turns[: answers[-1]] if answers else record.turns)
    raise DataError(
        f"{reader} needs prompts, and the source gives {type(record).__name__}s; give prompts by data=, such as data=review_prompts"
    )
