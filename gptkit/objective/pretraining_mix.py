"""Pre-training text among the sequences of another data set."""

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

NEAR = 32
"""How far from the golden ratio's a stride may be: far enough to find one that spreads well for every number of items."""


def text_windows(
    source: DataConfig,
    tokenizer: Tokenizer,
    context: int,
    *,
    key: str,
    validation_fraction: float,
    measured: bool = False,
) -> tuple[dict[str, Dataset], str]:
    """The text of a source in windows, those of training in the order of `SpreadWindows`, and the source's fingerprint.

    Args:
        source: the settings of the source.
        tokenizer: turns its text into ids.
        context: length of a window.
        key: that holds the settings, for errors.
        validation_fraction: share to hold out, where the source brings no validation split.
        measured: besides "train" also give "validation", where something is held out.

    Raises:
        ConfigError: the source cannot be built.
        DataError: its text cannot be read, or is too short.
    """
    try:
        data = source.build()
        train, held_out = token_streams(data, tokenizer, validation_fraction=validation_fraction)
        windows: dict[str, Dataset] = {"train": SpreadWindowDataset(training_windows(train, context=context))}
        if measured and len(held_out):
            windows["validation"] = validation_windows(held_out, context=context)
        # the order is a part of it: a run that mixed in one stretch is not continued with a sample
        return windows, hashlib.sha256(f"spread: {data.fingerprint}".encode()).hexdigest()
    except GptkitError as error:  # of a source, whose own key is `data`
        raise type(error)(f"{key}: {error}") from error


class SpreadWindowDataset(Dataset):
    """The windows of a text in an order in which those of any stretch of indices lie evenly over the whole text.

    A run mixes in far fewer windows than a corpus has. Taken as they stand, these would all be of one source, or of one year.
    Language modelling reads whole epochs and does not need this.
    """

    def __init__(self, windows: Dataset) -> None:
        self._windows, self._stride = windows, golden_stride(len(windows))

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, indices: Sequence[int]) -> Batch:
        count = len(self)
        return self._windows.batch([index - index % count + index % count * self._stride % count for index in indices])


def golden_stride(items: int) -> int:
    """A number s near 0.618 `items`, the share of the golden ratio, that has no divisor in common with it.

    0, s, 2s, 3s ... modulo `items` is then every item once. Any of these that follow one another are spread evenly over all where
    the continued fraction of s / `items` has small terms: the golden ratio's are all 1. The best of those within `NEAR` is taken.
    """
    golden = round((math.sqrt(5.0) - 1.0) / 2.0 * items)
    candidates = range(max(1, golden - NEAR), min(items, golden + NEAR) + 1)
    return min(
        (stride for stride in candidates if math.gcd(stride, items) == 1),
        key=lambda stride: (max(_terms(stride, items)), abs(stride - golden)),
    )


def _terms(numerator: int, denominator: int) -> list[int]:
    """The terms of the continued fraction of a number above 0 and at most 1, but for the leading 0."""
    found = []
    while numerator:
        found.append(denominator // numerator)
        numerator, denominator = denominator % numerator, numerator
    return found


def mixed_in(source: Mapping[str, Any]) -> str:
    """What text is mixed in: a phrase of the line with which a run begins."""
    where = f" ({source['path']})" if "path" in source else ""
    return f"mixed with the text of {source['name']}{where}"


class PretrainingMixDataset(Dataset):
    """The items of a data set and, behind them, so many windows that these are the given share of an epoch.

    Every epoch goes on with the windows where the one before stopped. All tokens of a window are learned.
    """

    def __init__(self, items: Dataset, windows: Dataset, share: float) -> None:
        self._items, self._windows = items, windows
        self._count = max(1, round(len(items) * share / (1.0 - share)))

    def __len__(self) -> int:
        return len(self._items) + self._count

    def batch(self, indices: Sequence[int]) -> Batch:
        first = len(self._items)
        epochs_and_places = [divmod(index, len(self)) for index in indices]
        of_window = [place >= first for _, place in epochs_and_places]
        found = []
        if not all(of_window):
            own = self._items.batch([place for _, place in epochs_and_places if place < first])
            found.append((own, [number for number, is_window in enumerate(of_window) if not is_window]))
        if any(of_window):
            text = self._windows.batch(
                [epoch * self._count + place - first for epoch, place in epochs_and_places if place >= first]
            )
            text["loss_mask"] = torch.ones_like(text["tokens"], dtype=torch.bool)
            found.append((text, [number for number, is_window in enumerate(of_window) if is_window]))
        length = max(part["tokens"].shape[1] for part, _ in found)
        batch: Batch = {}
        for name in ("tokens", "targets", "loss_mask", "segments"):
            if any(name in part for part, _ in found):
                dtype = torch.bool if name == "loss_mask" else torch.int64
                batch[name] = torch.zeros(len(indices), length, dtype=dtype)
                for part, rows in found:
                    if name in part:
                        batch[name][rows, : part[name].shape[1]] = part[name]
        return batch
