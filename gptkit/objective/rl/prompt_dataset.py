"""The dataset of prompts as token ids, without those that leave no room for a response or that a reward does not accept."""

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
from gptkit.records import Prompt

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.data.base import Data
    from gptkit.reward.base import Reward

_log = logging.getLogger("gptkit")


class PromptDataset(Dataset):
    """Item i of every epoch is prompt i.

    A batch has the columns `tokens` (B, T) int64, padded on the right with 0, and `items` (B,) int64, the indices of the items,
    which differ between epochs.
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
    *,
    template: ChatTemplate,
    max_tokens: int,
    rewards: Sequence[Reward],
    validation_fraction: float,
    reader: str,
) -> dict[str, PromptDataset]:
    """Load the prompts of a source: "train" and, if something is held out, "validation".

    Args:
        data: a source of prompts. A validation split is used instead of `validation_fraction`.
        template: renders the prompts.
        max_tokens: maximum length of a prompt. Longer prompts are left out, and a warning counts them.
        rewards: rewards that must accept a prompt; otherwise it is left out.
        validation_fraction: fraction of the prompts to hold out.
        reader: the objective, for messages.

    Raises:
        DataError: the source yields other records or none, a prompt does not fit the template, or no prompt is left.
    """
    prompts, held_out = split_records(data, validation_fraction, functools.partial(records_of, record_type=Prompt, reader=reader))
    datasets = {"train": _encode_prompts(prompts, template, max_tokens, rewards, "train")}
    if held_out:
        datasets["validation"] = _encode_prompts(held_out, template, max_tokens, rewards, "validation")
    _warn_of_duplicates(datasets)
    return datasets


def _warn_of_duplicates(datasets: dict[str, PromptDataset]) -> None:
    """Warn about prompts with the same token ids within and across splits."""
    train = [tuple(ids) for ids in datasets["train"].ids]
    held_out = [tuple(ids) for ids in datasets["validation"].ids] if "validation" in datasets else []
    unique = set(train)
    duplicates, overlap = len(train) - len(unique), sum(ids in unique for ids in held_out)
    if duplicates or overlap:
        _log.warning(
            "%s of %s training prompts are duplicates, and %s of %s held-out prompts also occur in training, so their scores do "
            "not measure generalisation; remove duplicates from the source",
            *(f"{number:,}" for number in (duplicates, len(train), overlap, len(held_out))),
        )


def _encode_prompts(
    prompts: Sequence[Prompt], template: ChatTemplate, max_tokens: int, rewards: Sequence[Reward], split: str
) -> PromptDataset:
    ids = []
    for index, prompt in enumerate(prompts):
        try:
            ids.append(template.prompt_ids(prompt.turns))
        except DataError as error:
            raise DataError(f"prompt {index + 1} of the {split} split: {error}") from None
    indices = _filter(
        range(len(ids)),
        lambda index: len(ids[index]) <= max_tokens,
        split,
        f"are longer than {max_tokens} tokens, the length that objective.max_new_tokens leaves in model.context",
        "lower objective.max_new_tokens, or use shorter prompts",
    )
    for reward in rewards:
        indices = _filter(
            indices,
            lambda index, reward=reward: reward.accepts(prompts[index]),  # type: ignore[misc]
            split,
            *reward.rejection_message,
        )
    return PromptDataset([prompts[index] for index in indices], [ids[index] for index in indices])


def _filter(indices: Sequence[int], is_valid: Callable[[int], bool], split: str, problem: str, fix: str) -> list[int]:
    """Return the indices of valid prompts, and warn if there are others.

    Raises:
        DataError: no prompt is valid.
    """
    valid = [index for index in indices if is_valid(index)]
    if not valid:
        raise DataError(f"all {len(indices):,} prompts of the {split} split {problem}; {fix}")
    if len(valid) < len(indices):
        invalid = len(indices) - len(valid)
        _log.warning("%s of %s prompts of the %s split %s, and are left out", f"{invalid:,}", f"{len(indices):,}", split, problem)
    return valid
