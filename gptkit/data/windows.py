"""Datasets for language modelling: windows of consecutive tokens over concatenated documents."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gptkit.data.base import Data
from gptkit.data.dataset import Batch, Dataset
from gptkit.data.splits import split_documents, split_sources
from gptkit.data.tokens.token_stream import TokenStream
from gptkit.data.tokens.tokenization import tokenize_split
from gptkit.errors import DataError
from gptkit.tokenizer.base import Tokenizer


class WindowDataset(Dataset):
    """Adjacent windows from the start of the stream, the same in every epoch.

    Item i contains the `context` tokens that start at i * context; its targets are shifted by one token. The tokens after the last
    full window, fewer than `context`, are left out.
    """

    def __init__(self, stream: TokenStream, *, context: int, separator: int | None = None) -> None:
        """Args:
        stream: the tokens.
        context: tokens T of a window.
        separator: the end-of-text id, to add `segments` that keep the documents of a window apart; None if they may attend to each
            other.
        """
        self.stream, self.context, self._separator = stream, context, separator

    def __len__(self) -> int:
        return (len(self.stream) - 1) // self.context

    def starts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions in the stream at which windows start: (B,) -> (B,)."""
        return indices % len(self) * self.context

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return `tokens` and `targets`, (B, T) int64; with a separator also `segments`, (B, T) int64."""
        read = self.stream.read(self.starts(np.asarray(indices, dtype=np.int64)), self.context + 1)
        tokens = np.ascontiguousarray(read[:, :-1])
        result = {"tokens": torch.from_numpy(tokens), "targets": torch.from_numpy(np.ascontiguousarray(read[:, 1:]))}
        if self._separator is not None:
            result["segments"] = torch.from_numpy(segments(tokens, self._separator))
        return result


class ShiftingWindowDataset(WindowDataset):
    """Adjacent windows that start at a different offset in every epoch, so that tokens change their position within a window.

    The stream is circular. The epoch determines the offset of the first window. Together, the windows of an epoch predict every
    token once, except for fewer than `context` tokens before the offset. The seed of a run determines the order of windows, not
    the offset.
    """

    def __len__(self) -> int:
        return len(self.stream) // self.context

    def starts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        epochs, items = np.divmod(indices, len(self))
        epoch_list = epochs.tolist()
        offsets = {epoch: epoch_offset(epoch, size=len(self.stream)) for epoch in set(epoch_list)}
        starts: NDArray[np.int64] = (np.array([offsets[epoch] for epoch in epoch_list]) + items * self.context) % len(self.stream)
        return starts


@functools.lru_cache(maxsize=1024)
def epoch_offset(epoch: int, *, size: int) -> int:
    """Return the position in a stream of `size` tokens at which the windows of an epoch start: the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"phase {epoch}".encode()).digest()[:8], "little") % size


def segments(tokens: NDArray[np.int64], separator: int) -> NDArray[np.int64]:
    """Return the number of each token's document within its row, from 0: (B, T) -> (B, T). A separator ends its document."""
    ends = tokens == separator
    numbers: NDArray[np.int64] = np.cumsum(ends, axis=1) - ends
    return numbers


def language_model_datasets(
    data: Data,
    tokenizer: Tokenizer,
    *,
    context: int,
    validation_fraction: float,
    separate_documents: bool = False,
) -> dict[str, Dataset]:
    """Return the datasets "train" and, if tokens are held out, "validation". Tokenises text that is not in the cache.

    Args:
        data: a source of documents; `token_streams` splits it.
        tokenizer: turns its text into ids.
        context: tokens T of a window.
        validation_fraction: share of the tokens to hold out.
        separate_documents: add `segments` to batches.

    Raises:
        DataError: the text cannot be read, or is shorter than one window and its last target.
    """
    train, held_out = token_streams(data, tokenizer, validation_fraction=validation_fraction)
    separator = tokenizer.special["end_of_text"] if separate_documents else None
    datasets: dict[str, Dataset] = {"train": training_windows(train, context=context, separator=separator)}
    if len(held_out):
        datasets["validation"] = validation_windows(held_out, context=context, separator=separator)
    return datasets


def token_streams(data: Data, tokenizer: Tokenizer, *, validation_fraction: float) -> tuple[TokenStream, TokenStream]:
    """Return the tokens to train on, and the tokens held out, which may be empty. `gptkit.data.splits` defines the split.

    Raises:
        DataError: the text cannot be read; for a mixture, the message starts with the key of the source.
    """
    train, held_out = split_sources(
        data,
        validation_fraction,
        lambda source, split: tokenize_split(source, split, tokenizer),
        lambda shards, fraction: split_documents(shards.ends, fraction),
    )
    return TokenStream(train), TokenStream(held_out)


def training_windows(stream: TokenStream, *, context: int, separator: int | None = None) -> ShiftingWindowDataset:
    """Return the training dataset.

    Raises:
        DataError: the text is shorter than one window and its last target.
    """
    return ShiftingWindowDataset(_long_enough(stream, "training", context), context=context, separator=separator)


def validation_windows(stream: TokenStream, *, context: int, separator: int | None = None) -> WindowDataset:
    """Return the validation dataset.

    Raises:
        DataError: the text is shorter than one window and its last target.
    """
    return WindowDataset(_long_enough(stream, "validation", context), context=context, separator=separator)


def _long_enough(stream: TokenStream, which: str, context: int) -> TokenStream:
    if len(stream) <= context:
        alternative = ", or val.fraction=0" if which == "validation" else ""
        raise DataError(
            f"the {which} text has {len(stream)} tokens, but one sequence of model.context={context} needs {context + 1}; "
            f"use more text, a smaller model.context{alternative}"
        )
    return stream
