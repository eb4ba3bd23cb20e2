"""What a run trains on and what it holds out for validation: every objective and task asks this module.

A source that has a validation split keeps it. Of any other source a share of the training split is held out; the sources of a
mixture are split one by one. Which share is a pure function of the content: every machine and every seed holds out the same records
or tokens.

Of text, whole documents are held out, spread evenly over the corpus: it is cut into as many equal sections as documents are needed
(at most 64), and the documents at the end of each section are held out. What changes along the corpus (years, sources) is then in
both parts. Where documents are so long or so few that this misses the fraction by more than a factor of two, and where there is
only one document, the last tokens are held out instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gptkit.data.base import Data
from gptkit.errors import GptkitError
from gptkit.records import Record

T = TypeVar("T")
Content = TypeVar("Content", bound=Sized)

Ranges = list[tuple[int, int]]
"""Ranges of tokens or items, in order: the first, and the one after the last."""

MAX_RANGES = 64

# -- sources ----------------------------------------------------------------------------------------------------------------------


def split_sources(
    data: Data,
    fraction: float,
    read: Callable[[Data, str], Content],
    split: Callable[[Content, float], tuple[Ranges, Ranges]],
) -> tuple[list[tuple[Content, Ranges]], list[tuple[Content, Ranges]]]:
    """The content of every source of `data`, with the ranges to train on, and with those to hold out.

    Args:
        data: a source, or a mixture of several.
        fraction: share of a source's training split to hold out if it has no validation split, at least 0 and below 1.
        read: reads a split of one source.
        split: divides the content of a training split.

    Raises:
        GptkitError: what `read` raises; for a mixture, with the key of the source before it.
    """
    train: list[tuple[Content, Ranges]] = []
    held_out: list[tuple[Content, Ranges]] = []
    for key, source in data.components().items():
        with _errors_name(key):
            content = read(source, "train")
            validation = read(source, "validation") if "validation" in source.splits else None
        if validation is not None:
            train.append((content, [(0, len(content))]))
            held_out.append((validation, [(0, len(validation))]))
        else:
            train_ranges, held_out_ranges = split(content, fraction)
            train.append((content, train_ranges))
            held_out.append((content, held_out_ranges))
    return train, held_out


def split_records(data: Data, fraction: float, read: Callable[[Data, str], Iterable[T]]) -> tuple[list[T], list[T]]:
    """The records to train on, and those to hold out; arguments and errors are those of `split_sources`."""
    train, held_out = split_sources(
        data,
        fraction,
        lambda source, split: list(read(source, split)),
        lambda records, fraction: split_items(len(records), fraction),
    )
    return _select(train), _select(held_out)


def held_out_records(data: Data, fraction: float | None) -> list[Record]:
    """The records on which a trained model is evaluated: the validation split, else the test split, else what a run holds out.

    Args:
        data: a source, or a mixture of several.
        fraction: share of the training split that a run holds out; None if no run trains on this source: all of it is returned.
    """
    split = evaluation_split(data, "validation", "test")
    if split == "train" and fraction is not None:
        _, held_out = split_records(data, fraction, lambda source, split: source.records(split))
        return held_out
    return list(data.records(split))


def evaluation_split(data: Data, *candidates: str) -> str:
    """The first of `candidates` that the source has, else "train"."""
    return next((split for split in candidates if split in data.splits), "train")


@contextmanager
def _errors_name(key: str) -> Iterator[None]:
    """Put the key of a mixture's source before the messages of errors; the key of a source that stands alone is empty."""
    try:
        yield
    except GptkitError as error:
        if not key:
            raise
        raise type(error)(f"{key}: {error}") from error


def _select(parts: list[tuple[list[T], Ranges]]) -> list[T]:
    return [record for records, ranges in parts for begin, end in ranges for record in records[begin:end]]


# -- ranges -----------------------------------------------------------------------------------------------------------------------


def split_documents(ends: NDArray[np.int64], fraction: float) -> tuple[Ranges, Ranges]:
    """The ranges of tokens to train on, and those to hold out.

    Args:
        ends: (documents,) the position after each document, its end-of-text included.
        fraction: share of the tokens to hold out, at least 0 and below 1.
    """
    total = int(ends[-1])
    if fraction <= 0.0:
        return [(0, total)], []
    held_out = _whole_documents(ends, fraction) if len(ends) > 1 else []
    share = sum(end - begin for begin, end in held_out) / total
    if not fraction / 2 <= share <= min(2 * fraction, (1 + fraction) / 2):
        return split_by_position(total, fraction)
    return _complement(held_out, total), held_out


def split_by_position(total: int, fraction: float) -> tuple[Ranges, Ranges]:
    """The first and the last part of the tokens; the end-of-text that ends them belongs to neither."""
    text = total - 1
    cut = int(text * (1 - fraction))
    return [(0, cut)], [(cut, text)]


def split_items(items: int, fraction: float) -> tuple[Ranges, Ranges]:
    """The ranges of items to train on, and those to hold out: up to 64 ranges, one in each equal section of the whole.

    Neighbouring items often share a text, and a file may be sorted by label: ranges that are spread over the file suit both. The
    position of a range in its section looks random but is always the same, since a file may also alternate its labels. If the
    fraction is above 0 and there are at least two items, at least one is held out and at least one is not.

    Args:
        items: their number.
        fraction: share of them to hold out, at least 0 and below 1.
    """
    if fraction <= 0.0 or items < 2:
        return [(0, items)], []
    total = min(max(1, round(fraction * items)), items - 1)
    sections = min(MAX_RANGES, total)
    borders = [section * items // sections for section in range(sections + 1)]
    quotas = [section * total // sections for section in range(sections + 1)]
    numbers = np.random.Philox(key=items).random_raw(sections).tolist()  # numpy promises that these stay the same
    held_out: Ranges = []
    for section, number in enumerate(numbers):
        size = quotas[section + 1] - quotas[section]
        begin = borders[section] + number % (borders[section + 1] - borders[section] - size + 1)
        if held_out and held_out[-1][1] == begin:
            held_out[-1] = (held_out[-1][0], begin + size)
        else:
            held_out.append((begin, begin + size))
    return _complement(held_out, items), held_out


def evenly_spaced(items: int, at_most: int) -> list[int]:
    """The indices of at most `at_most` items, spread evenly over all of them and always the same; of all items if it is 0."""
    count = min(items, at_most) if at_most else items
    return [index * items // count for index in range(count)]


def _whole_documents(ends: NDArray[np.int64], fraction: float) -> Ranges:
    sections = min(MAX_RANGES, max(1, round(fraction * len(ends))))
    borders = np.concatenate([[0], ends])
    upper = borders[-1] * (np.arange(sections) + 1) / sections
    lower = upper - borders[-1] * fraction / sections
    held_out: Ranges = []
    for begin, end in zip(_nearest(borders, lower), _nearest(borders, upper), strict=True):
        if begin == end:
            continue
        if held_out and held_out[-1][1] == begin:
            begin = held_out.pop()[0]
        held_out.append((begin, end))
    return held_out


def _nearest(borders: NDArray[np.int64], positions: NDArray[np.float64]) -> list[int]:
    """For each position the nearest border, the earlier of two that are equally near."""
    after = np.searchsorted(borders, positions).clip(1, len(borders) - 1)
    before = after - 1
    nearest = np.where(positions - borders[before] <= borders[after] - positions, borders[before], borders[after])
    return [int(border) for border in nearest]


def _complement(ranges: Ranges, total: int) -> Ranges:
    borders = [0, *(border for pair in ranges for border in pair), total]
    return [(begin, end) for begin, end in zip(borders[::2], borders[1::2], strict=True) if begin < end]
