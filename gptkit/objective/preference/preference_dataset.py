"""The dataset of rankings: every completion after its prompt, padded on the right, with its rank."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.chat_template.base import encode_spans, warn_of_joined_words
from gptkit.data.dataset import Batch, Dataset
from gptkit.data.padding import pad_groups
from gptkit.errors import DataError
from gptkit.records import Ranking

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate, Ids, Span

UNKNOWN = -1
"""The number of a labeler without a name."""

_log = logging.getLogger("gptkit")


@dataclass(frozen=True)
class TokenizedRanking:
    """A prompt with its completions as token ids."""

    sequences: tuple[Ids, ...]
    """Prompt, completion and end-of-text, for each completion."""
    ranks: tuple[int, ...]
    prompt: int
    """The number of tokens of the prompt, with which every sequence starts."""
    labeler: str | None
    demonstration: Ids | None
    """Prompt, demonstration and end-of-text; None if there is no demonstration."""


class PreferenceDataset(Dataset):
    """Item i of every epoch is ranking i.

    A batch has `tokens` (B, C, T) int64, padded on the right with 0; `lengths` (B, C) int64, 0 where there is no completion;
    `ranks` (B, C) int64; `prompts` (B,) int64, the lengths of the prompts; `labelers` (B,) int64, their numbers.
    """

    def __init__(self, items: Sequence[TokenizedRanking], *, max_completions: int, labelers: Sequence[str]) -> None:
        """Args:
        items: the rankings.
        max_completions: number of completions C of a batch.
        labelers: names of the labelers; the number of a labeler is its index.
        """
        self._items = items
        self._max_completions = max_completions
        self._numbers = {name: number for number, name in enumerate(labelers)}
        self._lengths = np.array([sum(map(len, item.sequences)) for item in items], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def lengths(self) -> NDArray[np.int64]:
        return self._lengths

    def batch(self, indices: Sequence[int]) -> Batch:
        items = [self._items[index % len(self._items)] for index in indices]
        tokens, lengths = pad_groups([item.sequences for item in items], self._max_completions)
        ranks = [[*item.ranks, *[0] * (self._max_completions - len(item.ranks))] for item in items]
        return {
            "tokens": tokens,
            "lengths": lengths,
            "ranks": torch.tensor(ranks, dtype=torch.int64),
            "prompts": torch.tensor([item.prompt for item in items], dtype=torch.int64),
            "labelers": torch.tensor([self._number(item.labeler) for item in items], dtype=torch.int64),
        }

    def _number(self, labeler: str | None) -> int:
        return UNKNOWN if labeler is None else self._numbers[labeler]


def tokenize_rankings(rankings: Sequence[Ranking], *, template: ChatTemplate, context: int, split: str) -> list[TokenizedRanking]:
    """Tokenise rankings, without completions that are longer than the context with their prompt.

    Leaves out rankings with fewer than two remaining completions. A warning counts both.

    Args:
        rankings: the rankings of one split.
        template: renders prompts and completions.
        context: maximum sequence length.
        split: name of the split, for messages.

    Raises:
        DataError: a prompt does not fit the template, no ranking is left, or all completions are tied in every training ranking.
    """
    prompts: list[Ids] = []
    answers: list[list[Span]] = []
    joined: list[list[Span]] = []
    for index, record in enumerate(rankings):
        try:
            prompt = template.prompt(record.prompt)
            prompts.append(np.array(template.encode_prompt(prompt), dtype=np.int64))
            demonstrations = [] if record.demonstration is None else [record.demonstration]
            for text in (*record.completions, *demonstrations):
                answers.append(template.answer(record.prompt, text))
                joined.append([*prompt, *answers[-1]])
        except DataError as error:
            raise DataError(f"ranking {index + 1} of the {split} split: {error}") from None
    warn_of_joined_words(joined, split)
    ids = (encoded.ids for encoded in encode_spans(template.tokenizer, answers))
    result: list[TokenizedRanking] = []
    skipped = 0
    for prompt_ids, record in zip(prompts, rankings, strict=True):
        sequences = [np.concatenate([prompt_ids, next(ids)]) for _ in record.completions]
        demonstration = None if record.demonstration is None else np.concatenate([prompt_ids, next(ids)])
        kept = [(sequence, rank) for sequence, rank in zip(sequences, record.ranks, strict=True) if len(sequence) <= context]
        skipped += len(sequences) - len(kept)
        if len(kept) >= 2:
            if demonstration is not None and len(demonstration) > context:
                demonstration = None
            result.append(
                TokenizedRanking(
                    tuple(sequence for sequence, _ in kept),
                    tuple(rank for _, rank in kept),
                    len(prompt_ids),
                    record.labeler,
                    demonstration,
                )
            )
    if not result:
        raise DataError(
            f"no ranking of the {split} split has two completions that fit model.context={context} with their prompt; increase it"
        )
    if skipped:
        _log.warning(
            "%s completions of the %s split are longer than model.context=%s with their prompt and are left out; "
            "%s of %s rankings remain",
            f"{skipped:,}",
            split,
            context,
            f"{len(result):,}",
            f"{len(rankings):,}",
        )
    if all(len(set(item.ranks)) == 1 for item in result):
        if split == "training":
            raise DataError("in every ranking of the training split all completions are tied, so there is nothing to learn")
        _log.warning("in every ranking of the %s split all completions are tied, so it has no accuracy", split)
    return result
