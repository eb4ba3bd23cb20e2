"""Language modelling's datasets: windows of consecutive tokens over packed documents."""

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
    """Item i is the `context` tokens from i * context on and, as targets, those one further on. The same in every epoch.

    Tokens after the last full window are left out: fewer than `context`.
    """

    def __init__(self, stream: TokenStream, *, context: int, separator: int | None = None) -> None:
        """Args: separator: the end-of-text id, where documents in one window must not see each other; None where they may."""
        self.stream, self.context, self._separator = stream, context, separator

    def __len__(self) -> int:
        return (len(self.stream) - 1) // self.context

    def starts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) -> (B,): where in the stream the windows begin."""
        return indices % len(self) * self.context

    def batch(self, indices: Sequence[int]) -> Batch:
        """`tokens` and `targets`, (B, T) int64; where documents are kept apart also `segments`, (B, T) int64."""
        read = self.stream.read(self.starts(np.asarray(indices, dtype=np.int64)), self.context + 1)
        tokens = np.ascontiguousarray(read[:, :-1])
        result = {"tokens": torch.from_numpy(tokens), "targets": torch.from_numpy(np.ascontiguousarray(read[:, 1:]))}
        if self._separator is not None:
            result["segments"] = torch.from_numpy(segments(tokens, self._separator))
        return result


class ShiftingWindowDataset(WindowDataset):
    """Windows that lie elsewhere in every epoch, so that no token always stands at the same place of a window.

    The stream is a ring. In each epoch the windows follow one another from a place that the epoch decides, and together they
    predict every token once, but for fewer than `context` before that place. A run's seed decides their order, not their places.
    """

    def __len__(self) -> int:
        return len(self.stream) // self.context

    def starts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        epochs, items = np.divmod(indices, len(self))
        wanted = epochs.tolist()
        phases = {epoch: epoch_offset(epoch, size=len(self.stream)) for epoch in set(wanted)}
        starts: NDArray[np.int64] = (np.array([phases[epoch] for epoch in wanted]) + items * self.context) % len(self.stream)
        return starts


@functools.lru_cache(maxsize=1024)
def epoch_offset(epoch: int, *, size: int) -> int:
    """Where in a stream of `size` tokens an epoch's windows begin: the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"phase {epoch}".encode()).digest()[:8], "little") % size


def segments(tokens: NDArray[np.int64], separator: int) -> NDArray[np.int64]:
    """(B, T) -> (B, T): the number of the document in its row, from 0; a separator belongs to the document that it ends."""
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
    """The datasets "train" and, where something is held out, "validation"; the text is tokenised unless that has been done before.

    Args:
        data: a source of documents, of which `streams` says what is held out.
        tokenizer: turns its text into ids.
        context: tokens T of a window.
        validation_fraction: share of the tokens to hold out.
        separate_documents: also give `segments`.

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
    """The tokens to train on, and those held out, which may be none; `gptkit.data.splits` decides which.

    Raises:
        DataError: the text cannot be read; for a mixture, with the key of the source before it.
    """
    train, held_out = split_sources(
        data,
        validation_fraction,
        lambda source, split: tokenize_split(source, split, tokenizer),
        lambda shards, fraction: split_documents(shards.ends, fraction),
    )
    return TokenStream(train), TokenStream(held_out)


def training_windows(stream: TokenStream, *, context: int, separator: int | None = None) -> ShiftingWindowDataset:
    """Raises: DataError: the text is shorter than one window and its last target."""
    return ShiftingWindowDataset(_long_enough(stream, "training", context), context=context, separator=separator)


def validation_windows(stream: TokenStream, *, context: int, separator: int | None = None) -> WindowDataset:
    """Raises: DataError: the text is shorter than one window and its last target."""
    return WindowDataset(_long_enough(stream, "validation", context), context=context, separator=separator)


def _long_enough(stream: TokenStream, which: str, context: int) -> TokenStream:
    if len(stream) <= context:
        less = ", or set val.fraction=0" if which == "validation" else ""
        raise DataError(
            f"the {which} text has {len(stream)} tokens, and one sequence of model.context={context} needs {context + 1}; "
            f"give more text, choose a smaller model.context{less}"
        )
    return stream
