"""The split into training and validation data, for all objectives and tasks.

If a source has a validation split, it is used. Otherwise, a share of the training split is held out; the sources of a mixture are
split separately. The split is a pure function of the content: every machine and every seed holds out the same records or tokens.

From text, whole documents are held out, spread evenly over the corpus: it is divided into as many equal sections as documents are
needed (at most 64), and the documents at the end of each section are held out. If the corpus changes along its length (years,
sources), both parts contain every stage of it. If the documents are so long or so few that the held-out share would be wrong by
more than a factor of two, or if there is only one document, the last tokens are held out instead.
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
"""Half-open ranges (begin, end) of tokens or items, in order."""

MAX_RANGES = 64

# -- sources ----------------------------------------------------------------------------------------------------------------------


def split_sources(
    data: Data,
    fraction: float,
    read: Callable[[Data, str], Content],
    split: Callable[[Content, float], tuple[Ranges, Ranges]],
) -> tuple[list[tuple[Content, Ranges]], list[tuple[Content, Ranges]]]:
    """Return the content of every source of `data` with the ranges to train on, and with the ranges to hold out.

    Args:
        data: a source, or a mixture of several.
        fraction: share of the training split to hold out from a source without a validation split, at least 0 and below 1.
        read: reads a split of a source.
        split: returns the ranges of a training split to train on, and those to hold out.

    Raises:
        GptkitError: raised by `read`; for a mixture, the message starts with the key of the source.
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
    """Return the records to train on, and the records to hold out. Arguments and errors: see `split_sources`."""
    train, held_out = split_sources(
        data,
        fraction,
        lambda source, split: list(read(source, split)),
        lambda records, fraction: split_items(len(records), fraction),
    )
    weights = data.weights()
    chosen = [
        _repeat(_select([part]), weights.get(key, 1.0)) if weights else _select([part])
        for key, part in zip(data.components(), train, strict=True)
    ]
    return [record for records in chosen for record in records], _select(held_out)


def held_out_records(data: Data, fraction: float | None) -> list[Record]:
    """Return the records for evaluating a trained model: the validation split, else the test split, else the records held out.

    Args:
        data: a source, or a mixture of several.
        fraction: share of the training split that a run holds out; None if no run trains on this source, which returns all of it.
    """
    split = evaluation_split(data, "validation", "test")
    if split == "train" and fraction is not None:
        _, held_out = split_records(data, fraction, lambda source, split: source.records(split))
        return held_out
    return list(data.records(split))


def evaluation_split(data: Data, *candidates: str) -> str:
    """Return the first of `candidates` that is a split of the source, else "train"."""
    return next((split for split in candidates if split in data.splits), "train")


@contextmanager
def _errors_name(key: str) -> Iterator[None]:
    """Prefix error messages with the key of a source within a mixture. The key of a single source is empty."""
    try:
        yield
    except GptkitError as error:
        if not key:
            raise
        raise type(error)(f"{key}: {error}") from error


def _repeat(records: list[T], weight: float) -> list[T]:
    """Return the records `weight` times: whole copies, and a part of them at equal distances."""
    copies = int(weight)
    rest = round((weight - copies) * len(records))
    return records * copies + ([records[index] for index in evenly_spaced(len(records), rest)] if rest else [])


def _select(parts: list[tuple[list[T], Ranges]]) -> list[T]:
    return [record for records, ranges in parts for begin, end in ranges for record in records[begin:end]]


# -- ranges -----------------------------------------------------------------------------------------------------------------------


def split_documents(ends: NDArray[np.int64], fraction: float) -> tuple[Ranges, Ranges]:
    """Return the ranges of tokens to train on, and those to hold out.

    Args:
        ends: the position after each document and its end-of-text token, (documents,).
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
    """Return the ranges of the first and the last part of the tokens. The final end-of-text token belongs to neither."""
    text = total - 1
    cut = int(text * (1 - fraction))
    return [(0, cut)], [(cut, text)]


def split_items(items: int, fraction: float) -> tuple[Ranges, Ranges]:
    """Return the ranges of items to train on, and those to hold out: up to 64 ranges, one in each of as many equal sections.

    Neighbouring items often share a text, and a file may be sorted by label. Ranges that are spread over the file are suitable for
    both. The position of a range within its section is pseudo-random but fixed, because labels may also alternate. If the fraction
    is above 0 and there are at least two items, at least one item is held out and at least one is not.

    Args:
        items: number of items.
        fraction: share of the items to hold out, at least 0 and below 1.
    """
    if fraction <= 0.0 or items < 2:
        return [(0, items)], []
    total = min(max(1, round(fraction * items)), items - 1)
    sections = min(MAX_RANGES, total)
    borders = [section * items // sections for section in range(sections + 1)]
    quotas = [section * total // sections for section in range(sections + 1)]
    numbers = np.random.Philox(key=items).random_raw(sections).tolist()  # numpy guarantees the same numbers in all versions
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
    """Return the indices of at most `at_most` items, evenly spaced; of all items if `at_most` is 0."""
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
    """Return the border nearest to each position; of two equally near ones, the earlier."""
    after = np.searchsorted(borders, positions).clip(1, len(borders) - 1)
    before = after - 1
    nearest = np.where(positions - borders[before] <= borders[after] - positions, borders[before], borders[after])
    return [int(border) for border in nearest]


def _complement(ranges: Ranges, total: int) -> Ranges:
    borders = [0, *(border for pair in ranges for border in pair), total]
    return [(begin, end) for begin, end in zip(borders[::2], borders[1::2], strict=True) if begin < end]
