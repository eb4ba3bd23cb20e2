"""The dataset of supervised fine-tuning: dialogues as token sequences with a loss mask."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.chat_template.base import encode_spans, warn_of_joined_words
from gptkit.data.dataset import Batch, Dataset
from gptkit.data.packing import pack_best_fit
from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.errors import DataError
from gptkit.records import Dialogue

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate, Ids, Span

_log = logging.getLogger("gptkit")


@dataclass(frozen=True)
class TokenizedDialogue:
    """A dialogue as token ids."""

    ids: Ids
    """(T + 1,): the inputs are all ids but the last, the targets all but the first."""
    loss_mask: NDArray[np.bool_]
    """(T + 1,): whether the id contributes to the loss as a target."""

    def __len__(self) -> int:
        return len(self.ids) - 1


def tokenize_dialogues(
    dialogues: Sequence[Dialogue], *, template: ChatTemplate, context: int, train_on_prompts: bool, split: str
) -> list[TokenizedDialogue | None]:
    """Tokenise dialogues. Dialogues that are longer than the context become None, and a warning counts them.

    Args:
        dialogues: the dialogues of one split.
        template: renders the dialogues.
        context: maximum sequence length.
        train_on_prompts: include prompts in the loss.
        split: name of the split, for messages.

    Raises:
        DataError: a dialogue does not fit the template, or all dialogues are too long.
    """
    rendered = [_render(dialogue, template, index, split) for index, dialogue in enumerate(dialogues)]
    warn_of_joined_words(rendered, split)
    result: list[TokenizedDialogue | None] = []
    for encoded in encode_spans(template.tokenizer, rendered):
        tokenized = TokenizedDialogue(encoded.ids, encoded.is_answer | train_on_prompts)
        result.append(tokenized if len(tokenized) <= context else None)
    dropped = sum(tokenized is None for tokenized in result)
    if dropped == len(result):
        raise DataError(f"all {dropped:,} dialogues of the {split} split are longer than model.context={context}; increase it")
    if dropped:
        _log.warning(
            "%s of %s dialogues of the %s split are longer than model.context=%s and are left out",
            f"{dropped:,}",
            f"{len(result):,}",
            split,
            context,
        )
    return result


def _render(dialogue: Dialogue, template: ChatTemplate, index: int, split: str) -> list[Span]:
    try:
        return template.dialogue(dialogue.turns)
    except DataError as error:
        raise DataError(f"dialogue {index + 1} of the {split} split: {error}") from None


class SFTDataset(Dataset):
    """Item i of every epoch is row i: one dialogue, or several packed dialogues that do not attend to one another.

    A batch has `tokens` and `targets` (B, T) int64 and `loss_mask` (B, T) bool, padded on the right with 0 to the longest row, and
    `items` (B,) int64. If a row has several dialogues, it also has `segments` (B, T) int64, the number of the dialogue in its row.
    """

    def __init__(self, rows: Sequence[Sequence[TokenizedDialogue]], *, has_equal_lengths: bool) -> None:
        """Args: has_equal_lengths: whether all rows have about the same length, as packed rows have."""
        self._rows = rows
        self._has_equal_lengths = has_equal_lengths
        self._lengths = np.array([sum(map(len, row)) for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def lengths(self) -> NDArray[np.int64] | None:
        return None if self._has_equal_lengths else self._lengths

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = [index % len(self._rows) for index in indices]
        rows = [self._rows[index] for index in chosen]
        batch = {
            "tokens": pad_sequences(np.concatenate([dialogue.ids[:-1] for dialogue in row]) for row in rows),
            "targets": pad_sequences(np.concatenate([dialogue.ids[1:] for dialogue in row]) for row in rows),
            "loss_mask": pad_sequences(
                (np.concatenate([dialogue.loss_mask[1:] for dialogue in row]) for row in rows), dtype=torch.bool
            ),
            "items": torch.tensor(chosen, dtype=torch.int64),
        }
        if any(len(row) > 1 for row in rows):  # otherwise only padding follows a dialogue, and causal attention hides it
            segments = pad_sequences(
                (np.repeat(np.arange(len(row)), [len(dialogue) for dialogue in row]) for row in rows), value=-1
            )
            counts = sequence_lengths(rows)  # type: ignore[arg-type]
            batch["segments"] = torch.where(segments < 0, counts[:, None], segments)  # padding is a separate segment
        return batch


def pack_dialogues(dialogues: Iterable[TokenizedDialogue | None], context: int) -> SFTDataset:
    """Pack dialogues into rows of at most `context` tokens, deterministically."""
    kept = [dialogue for dialogue in dialogues if dialogue is not None]
    rows = pack_best_fit([len(dialogue) for dialogue in kept], context)
    return SFTDataset([[kept[index] for index in row] for row in rows], has_equal_lengths=True)
