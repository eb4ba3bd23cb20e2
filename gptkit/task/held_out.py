"""Held-out prompts, on which a run was not trained, from any kind of record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptkit.data.splits import held_out_records
from gptkit.errors import DataError
from gptkit.records import Dialogue, Prompt, Ranking, Record

if TYPE_CHECKING:
    from gptkit.data.base import Data


def held_out_prompts(data: Data, *, fraction: float | None, reader: str) -> list[Prompt]:
    """Return the distinct prompts of the validation split, or else the test split, or else the records that a run holds out.

    Args:
        data: a source of prompts, rankings or dialogues. The prompt of a dialogue is everything before its last answer.
        fraction: fraction of the training records that a run holds out if the source has no validation or test split; None: no
            run trained on this source, so all of its records are held out.
        reader: the caller's name, for messages.

    Raises:
        DataError: the source has another kind of record, or nothing is held out.
    """
    prompts = [prompt_of(record, reader) for record in held_out_records(data, fraction)]
    distinct = list({prompt.turns: prompt for prompt in prompts}.values())
    if not distinct:
        raise DataError(f"{reader}: the source has no held-out prompts; choose another source with data=")
    return distinct


def prompt_of(record: Record, reader: str) -> Prompt:
    """Return the prompt of a record, without its answer.

    Raises:
        DataError: this kind of record has no prompt.
    """
    if isinstance(record, Prompt):
        return record
    if isinstance(record, Ranking):
        return Prompt(record.prompt)
    if isinstance(record, Dialogue):
        answers = [index for index, turn in enumerate(record.turns) if turn.role == "assistant"]
        return Prompt(record.turns[: answers[-1]] if answers else record.turns)
    raise DataError(
        f"{reader} needs prompts, but the source yields {type(record).__name__} records; "
        "choose a source of prompts, such as data=review_prompts"
    )
