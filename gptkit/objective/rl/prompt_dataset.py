"""Prompts as a data set: what a policy is asked, as ids, those that leave no room for a response left out."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.padding import pad_sequences
from gptkit.data.record_checks import records_of
from gptkit.data.splits import split_records
from gptkit.errors import DataError
from gptkit.objective.chat_template import prompt_ids
from gptkit.records import Prompt

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.reward.base import Reward
    from gptkit.tokenizer.base import Tokenizer

_log = logging.getLogger("gptkit")


class PromptDataset(Dataset):
    """Item i of every epoch is prompt i.

    A batch has, padded on the right with 0, `tokens` (B, T) int64, and `items` (B,) int64: the indices that were asked for, epochs
    told apart.
    """

    def __init__(self, prompts: Sequence[Prompt], ids: Sequence[list[int]]) -> None:
        self.prompts = prompts
        self.ids = ids

    def __len__(self) -> int:
        return len(self.prompts)

    def batch(self, indices: Sequence[int]) -> Batch:
        tokens = pad_sequences(self.ids[index % len(self)] for index in indices)
        return {"tokens": tokens, "items": torch.tensor(indices, dtype=torch.int64)}


def load_prompts(
    data: Data,
    tokenizer: Tokenizer,
    *,
    template: str,
    longest: int,
    judges: Sequence[Reward],
    validation_fraction: float,
    reader: str,
) -> dict[str, PromptDataset]:
    """The prompts of a source: "train" and, where something is held out, "validation".

    Args:
        data: a source of prompts. If it has a validation split, that is taken and `validation_fraction` is not.
        tokenizer: turns their text into ids.
        template: of `gptkit.objective.chat_template`.
        longest: tokens of a prompt; longer ones are left out, and counted in a warning.
        judges: a prompt that one of them does not take is left out, too.
        validation_fraction: share of the prompts to hold out.
        reader: the objective, for messages.

    Raises:
        DataError: the source gives other records or none, a prompt does not fit a template, or all are too long.
    """
    prompts, held_out = split_records(data, validation_fraction, functools.partial(records_of, record_type=Prompt, reader=reader))
    found = {"train": _encode_prompts(prompts, tokenizer, template, longest, judges, "train")}
    if held_out:
        found["validation"] = _encode_prompts(held_out, tokenizer, template, longest, judges, "validation")
    _warn_of_repeats(found)
    return found


def _warn_of_repeats(found: dict[str, PromptDataset]) -> None:
    """What reads the same in the form that the policy is asked is the same prompt."""
    train = [tuple(ids) for ids in found["train"].ids]
    held_out = [tuple(ids) for ids in found["validation"].ids] if "validation" in found else []
    known = set(train)
    repeated, seen = len(train) - len(known), sum(ids in known for ids in held_out)
    if repeated or seen:
        _log.warning(
            "%s of %s training prompts repeat another, and %s of %s held-out ones also stand in training: of the latter a "
            "validation says nothing about new prompts; leave repetitions out of the source",
            *(f"{number:,}" for number in (repeated, len(train), seen, len(held_out))),
        )


def _encode_prompts(
    prompts: Sequence[Prompt], tokenizer: Tokenizer, template: str, longest: int, judges: Sequence[Reward], split: str
) -> PromptDataset:
    ids = []
    for place, prompt in enumerate(prompts):
        try:
            ids.append(prompt_ids(tokenizer, prompt.turns, template))
        except DataError as error:
            raise DataError(f"prompt {place + 1} of the {split} split: {error}") from None
    places = _filter(
        range(len(ids)),
        lambda place: len(ids[place]) <= longest,
        split,
        f"are longer than {longest} tokens, which is what model.context leaves beside objective.max_new_tokens",
        "lower that, or give shorter prompts",
    )
    for judge in judges:
        places = _filter(places, lambda place, judge=judge: judge.accepts(prompts[place]), split, *judge.rejection_message)  # type: ignore[misc]
    return PromptDataset([prompts[place] for place in places], [ids[place] for place in places])


def _filter(places: Sequence[int], fits: Callable[[int], bool], split: str, what: str, mend: str) -> list[int]:
    """Those that fit; how many do not, and what they are, is told.

    Raises: DataError: none does.
    """
    kept = [place for place in places if fits(place)]
    if not kept:
        raise DataError(f"all {len(places):,} prompts of the {split} split {what}; {mend}")
    if len(kept) < len(places):
        lost = len(places) - len(kept)
        _log.warning("%s of %s prompts of the %s split %s, and are left out", f"{lost:,}", f"{len(places):,}", split, what)
    return kept
