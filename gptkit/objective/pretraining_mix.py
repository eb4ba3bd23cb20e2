"""Windows of pre-training text, alone or mixed into another dataset."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.windows import token_streams, training_windows, validation_windows
from gptkit.errors import GptkitError

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.tokenizer.base import Tokenizer

MAX_STRIDE_OFFSET = 32
"""The largest distance of a stride from the golden ratio's. Within it, every number of items has a stride that spreads evenly."""


def text_windows(
    source: DataConfig,
    tokenizer: Tokenizer,
    context: int,
    *,
    key: str,
    validation_fraction: float,
    with_validation: bool = False,
) -> tuple[dict[str, Dataset], str]:
    """Return windows of the text of a source by split, and the source's fingerprint.

    The training split is a `SpreadWindowDataset`.

    Args:
        source: config of the source.
        tokenizer: encodes its text.
        context: length of a window in tokens.
        key: config key of the source, for errors.
        validation_fraction: fraction to hold out, if the source has no validation split.
        with_validation: also return the split "validation", if something is held out.

    Raises:
        ConfigError: the source cannot be built.
        DataError: the text cannot be read, or is too short.
    """
    try:
        data = source.build()
        train, held_out = token_streams(data, tokenizer, validation_fraction=validation_fraction)
        windows: dict[str, Dataset] = {"train": SpreadWindowDataset(training_windows(train, context=context))}
        if with_validation and len(held_out):
            windows["validation"] = validation_windows(held_out, context=context)
        # the fingerprint includes the order, so that a run that read windows in sequence cannot resume in another order
        return windows, hashlib.sha256(f"spread: {data.fingerprint}".encode()).hexdigest()
    except GptkitError as error:  # its message names the key `data`
        raise type(error)(f"{key}: {error}") from error


class SpreadWindowDataset(Dataset):
    """The windows of a text, ordered so that every range of indices is spread evenly over the whole text.

    A run mixes in far fewer windows than a corpus has. In the original order, all of them would come from one source or one year.
    Language modelling reads whole epochs and does not need this order.
    """

    def __init__(self, windows: Dataset) -> None:
        self._windows, self._stride = windows, golden_stride(len(windows))

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, indices: Sequence[int]) -> Batch:
        count = len(self)
        return self._windows.batch([index - index % count + index % count * self._stride % count for index in indices])


def golden_stride(items: int) -> int:
    """Return a stride s near 0.618 `items` (the golden ratio) that is coprime to `items`.

    The sequence 0, s, 2s, 3s ... modulo `items` then visits every item once. Consecutive visits are spread evenly over all items if
    the continued fraction of s / `items` has small terms; those of the golden ratio are all 1. Returns the best s within
    `MAX_STRIDE_OFFSET` of the golden ratio's.
    """
    golden = round((math.sqrt(5.0) - 1.0) / 2.0 * items)
    candidates = range(max(1, golden - MAX_STRIDE_OFFSET), min(items, golden + MAX_STRIDE_OFFSET) + 1)
    return min(
        (stride for stride in candidates if math.gcd(stride, items) == 1),
        key=lambda stride: (max(_continued_fraction(stride, items)), abs(stride - golden)),
    )


def _continued_fraction(numerator: int, denominator: int) -> list[int]:
    """Return the terms of the continued fraction of a number in (0, 1], without the leading 0."""
    terms = []
    while numerator:
        terms.append(denominator // numerator)
        numerator, denominator = denominator % numerator, numerator
    return terms


def mixed_in(source: Mapping[str, Any]) -> str:
    """Return the phrase for the first line of a run that names the text that is mixed in."""
    where = f" ({source['path']})" if "path" in source else ""
    return f"mixed with the text of {source['name']}{where}"


class PretrainingMixDataset(Dataset):
    """The items of a dataset, followed by windows of text that make up a share of every epoch.

    Each epoch reads new windows, starting after those of the previous epoch. The loss covers all tokens of a window.
    """

    def __init__(self, items: Dataset, windows: Dataset, share: float) -> None:
        self._items, self._windows = items, windows
        self._count = max(1, round(len(items) * share / (1.0 - share)))

    def __len__(self) -> int:
        return len(self._items) + self._count

    def batch(self, indices: Sequence[int]) -> Batch:
        first = len(self._items)
        epochs_and_items = [divmod(index, len(self)) for index in indices]
        is_window = [item >= first for _, item in epochs_and_items]
        parts: list[tuple[Batch, list[int]]] = []  # each with the rows of the result that it fills
        if not all(is_window):
            items = self._items.batch([item for _, item in epochs_and_items if item < first])
            parts.append((items, [row for row, window in enumerate(is_window) if not window]))
        if any(is_window):
            text = self._windows.batch([epoch * self._count + item - first for epoch, item in epochs_and_items if item >= first])
            text["loss_mask"] = torch.ones_like(text["tokens"], dtype=torch.bool)
            parts.append((text, [row for row, window in enumerate(is_window) if window]))
        length = max(part["tokens"].shape[1] for part, _ in parts)
        batch: Batch = {}
        for name in ("tokens", "targets", "loss_mask", "segments"):
            if any(name in part for part, _ in parts):
                dtype = torch.bool if name == "loss_mask" else torch.int64
                batch[name] = torch.zeros(len(indices), length, dtype=dtype)
                for part, rows in parts:
                    if name in part:
                        batch[name][rows, : part[name].shape[1]] = part[name]
        return batch
