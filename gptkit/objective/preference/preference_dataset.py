"""Rankings as batches: every completion behind its prompt, padded on the right, with its rank."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.padding import pad_groups
from gptkit.errors import DataError
from gptkit.objective.chat_template import encode_texts, prompt_ids, response_text
from gptkit.records import Ranking

if TYPE_CHECKING:
    from gptkit.objective.chat_template import Ids
    from gptkit.tokenizer.base import Tokenizer

UNKNOWN = -1
"""Number of a completion's labeler who is not named."""

_log = logging.getLogger("gptkit")


@dataclass(frozen=True)
class TokenizedRanking:
    """A prompt with its completions as the model reads them."""

    sequences: tuple[Ids, ...]
    """Prompt, completion and end-of-text."""
    ranks: tuple[int, ...]
    prompt: int
    """Ids of the prompt, with which every sequence begins."""
    labeler: str | None
    demonstration: Ids | None
    """Prompt, demonstration and end-of-text."""


class PreferenceDataset(Dataset):
    """Item i of every epoch is ranking i.

    A batch has `tokens` (B, C, T) int64, padded on the right with 0; `lengths` (B, C) int64, 0 where there is no completion;
    `ranks` (B, C) int64; `prompts` (B,) int64, the ids of each prompt; `labelers` (B,) int64, by their numbers.
    """

    def __init__(self, items: Sequence[TokenizedRanking], *, most: int, labelers: Sequence[str]) -> None:
        """Args:
        items: the rankings.
        most: completions C that a batch has room for.
        labelers: their names; a name's number is its place.
        """
        self._items = items
        self._most = most
        self._numbers = {name: number for number, name in enumerate(labelers)}
        self._lengths = np.array([sum(map(len, item.sequences)) for item in items], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def lengths(self) -> NDArray[np.int64]:
        return self._lengths

    def batch(self, indices: Sequence[int]) -> Batch:
        items = [self._items[index % len(self._items)] for index in indices]
        tokens, lengths = pad_groups([item.sequences for item in items], self._most)
        ranks = [[*item.ranks, *[0] * (self._most - len(item.ranks))] for item in items]
        return {
            "tokens": tokens,
            "lengths": lengths,
            "ranks": torch.tensor(ranks, dtype=torch.int64),
            "prompts": torch.tensor([item.prompt for item in items], dtype=torch.int64),
            "labelers": torch.tensor([self._number(item.labeler) for item in items], dtype=torch.int64),
        }

    def _number(self, labeler: str | None) -> int:
        return UNKNOWN if labeler is None else self._numbers[labeler]


def tokenize_rankings(
    rankings: Sequence[Ranking], *, tokenizer: Tokenizer, template: str, context: int, what: str
) -> list[TokenizedRanking]:
    """Rankings as ids. Completions that are longer than the context with their prompt are left out, and so are rankings of which
    fewer than two are left; both are counted in a warning.

    Args:
        rankings: of one split.
        tokenizer: turns their text into ids.
        template: of `gptkit.objective.chat_template`.
        context: longest sequence.
        what: the split, for messages.

    Raises:
        DataError: a prompt does not fit the template, no ranking is left, or in all those of training all completions are tied.
    """
    prompts: list[Ids] = []
    texts: list[str] = []
    for index, record in enumerate(rankings):
        try:
            prompts.append(np.array(prompt_ids(tokenizer, record.prompt, template), dtype=np.int64))
        except DataError as error:
            raise DataError(f"ranking {index + 1} of the {what} split: {error}") from None
        shown = [] if record.demonstration is None else [record.demonstration]
        texts += [response_text(text, template) for text in (*record.completions, *shown)]
    ids = encode_texts(tokenizer, texts)
    end = np.array([tokenizer.special["end_of_text"]], dtype=np.int64)
    result: list[TokenizedRanking] = []
    left_out = 0
    for prompt, record in zip(prompts, rankings, strict=True):
        sequences = [np.concatenate([prompt, next(ids), end]) for _ in record.completions]
        demonstration = None if record.demonstration is None else np.concatenate([prompt, next(ids), end])
        kept = [(sequence, rank) for sequence, rank in zip(sequences, record.ranks, strict=True) if len(sequence) <= context]
        left_out += len(sequences) - len(kept)
        if len(kept) >= 2:
            if demonstration is not None and len(demonstration) > context:
                demonstration = None
            result.append(
                TokenizedRanking(
                    tuple(sequence for sequence, _ in kept),
                    tuple(rank for _, rank in kept),
                    len(prompt),
                    record.labeler,
                    demonstration,
                )
            )
    if not result:
        raise DataError(
            f"no ranking of the {what} split has two completions that fit model.context={context} with their prompt; "
            "give a larger one"
        )
    if left_out:
        _log.warning(
            "%s completions of the %s split are longer than model.context=%s with their prompt and are left out; "
            "%s of %s rankings remain",
            f"{left_out:,}",
            what,
            context,
            f"{len(result):,}",
            f"{len(rankings):,}",
        )
    if all(len(set(item.ranks)) == 1 for item in result):
        if what == "training":
            raise DataError("in every ranking of the training split all completions are tied; there is nothing to learn from it")
        _log.warning("in every ranking of the %s split all completions are tied: no accuracy can be measured on it", what)
    return result
