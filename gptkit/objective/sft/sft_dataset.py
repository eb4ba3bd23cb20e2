"""Dialogues as sequences of which the assistant's part is learned, and their batches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.packing import pack_best_fit
from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.errors import DataError
from gptkit.objective.chat_template import encode_texts, render_dialogue
from gptkit.records import Dialogue

if TYPE_CHECKING:
    from gptkit.objective.chat_template import Ids
    from gptkit.tokenizer.base import Tokenizer

_log = logging.getLogger("gptkit")


@dataclass(frozen=True)
class TokenizedDialogue:
    """A dialogue as the model reads it."""

    ids: Ids
    """(T + 1,): the tokens and, one further on, their targets."""
    loss_mask: NDArray[np.bool_]
    """(T + 1,): which ids contribute to the loss, as targets."""

    def __len__(self) -> int:
        return len(self.ids) - 1


def tokenize_dialogues(
    dialogues: Sequence[Dialogue], *, tokenizer: Tokenizer, template: str, context: int, train_on_prompts: bool, what: str
) -> list[TokenizedDialogue | None]:
    """Dialogues as ids. None stands for one that is longer than the context; these are counted in a warning.

    Args:
        dialogues: of one split.
        tokenizer: turns their text into ids.
        template: of `gptkit.objective.chat_template`.
        context: longest sequence.
        train_on_prompts: what stands before the answers is learned, too.
        what: the split, for messages.

    Raises:
        DataError: a dialogue does not fit the template, or all are too long.
    """
    texts = [_pieces(dialogue, template, index, what) for index, dialogue in enumerate(dialogues)]
    ids = encode_texts(tokenizer, (text for parts in texts for text, _ in parts))
    end = np.array([tokenizer.special["end_of_text"]], dtype=np.int64)
    result: list[TokenizedDialogue | None] = []
    for parts in texts:
        whole: list[Ids] = []
        flags: list[NDArray[np.bool_]] = []
        for _, answered in parts:
            piece = next(ids)
            piece = np.concatenate([piece, end]) if answered else piece if len(piece) or whole else end
            whole.append(piece)
            flags.append(np.full(len(piece), answered or train_on_prompts))
        one = TokenizedDialogue(np.concatenate(whole), np.concatenate(flags))
        result.append(one if len(one) <= context else None)
    dropped = sum(one is None for one in result)
    if dropped == len(result):
        raise DataError(f"all {dropped:,} dialogues of the {what} split are longer than model.context={context}; give a larger one")
    if dropped:
        _log.warning(
            "%s of %s dialogues of the %s split are longer than model.context=%s and are left out",
            f"{dropped:,}",
            f"{len(result):,}",
            what,
            context,
        )
    return result


def _pieces(dialogue: Dialogue, template: str, place: int, what: str) -> list[tuple[str, bool]]:
    try:
        return render_dialogue(dialogue, template)
    except DataError as error:
        raise DataError(f"dialogue {place + 1} of the {what} split: {error}") from None


class SFTDataset(Dataset):
    """Item i of every epoch is row i: one demonstration, or several one after the other that do not see each other.

    A batch has, padded on the right with 0 to its longest row, `tokens` and `targets` (B, T) int64, `loss_mask` (B, T) bool and
    `items` (B,) int64; where a row has several, also `segments` (B, T) int64: the number of the demonstration in its row.
    """

    def __init__(self, rows: Sequence[Sequence[TokenizedDialogue]], *, alike: bool) -> None:
        """Args: alike: rows are about equally long, as packed ones are."""
        self._rows = rows
        self._alike = alike
        self._lengths = np.array([sum(map(len, row)) for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def lengths(self) -> NDArray[np.int64] | None:
        return None if self._alike else self._lengths

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = [index % len(self._rows) for index in indices]
        rows = [self._rows[index] for index in chosen]
        batch = {
            "tokens": pad_sequences(np.concatenate([one.ids[:-1] for one in row]) for row in rows),
            "targets": pad_sequences(np.concatenate([one.ids[1:] for one in row]) for row in rows),
            "loss_mask": pad_sequences((np.concatenate([one.loss_mask[1:] for one in row]) for row in rows), dtype=torch.bool),
            "items": torch.tensor(chosen, dtype=torch.int64),
        }
        if any(len(row) > 1 for row in rows):  # otherwise only padding follows a demonstration, which a causal model does not see
            segments = pad_sequences((np.repeat(np.arange(len(row)), [len(one) for one in row]) for row in rows), value=-1)
            counts = sequence_lengths(rows)  # type: ignore[arg-type]
            batch["segments"] = torch.where(segments < 0, counts[:, None], segments)  # padding is a segment of its own
        return batch


def pack_dialogues(found: Iterable[TokenizedDialogue | None], context: int) -> SFTDataset:
    """As many demonstrations in a row as fit into the context, always the same ones."""
    kept = [one for one in found if one is not None]
    return SFTDataset([[kept[index] for index in row] for row in pack_best_fit([len(one) for one in kept], context)], alike=True)
