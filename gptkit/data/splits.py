"""Which tokens are held out for validation: a pure function of where the documents end.

Held out are whole documents, spread evenly over the corpus: it is cut into as many equal stretches as documents are wanted (at
most 64), and the documents at the end of each are taken, so that what changes along the corpus (years, sources) is in both parts.
Where documents are so long or so few that this would miss the fraction by more than a factor of two, and where there is only one,
the last tokens are held out instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ranges = list[tuple[int, int]]
"""Stretches of the sequence of all tokens, in order: first token, and the one after the last."""

STRETCHES = 64


def split(ends: NDArray[np.int64], fraction: float) -> tuple[Ranges, Ranges]:
    """The tokens for training and those held out.

    Args:
        ends: (documents,) where each document ends, its end-of-text included.
        fraction: share of the tokens to hold out, at least 0 and below 1.
    """
    total = int(ends[-1])
    if fraction <= 0.0:
        return [(0, total)], []
    held_out = _by_document(ends, fraction) if len(ends) > 1 else []
    share = sum(end - begin for begin, end in held_out) / total
    if not fraction / 2 <= share <= min(2 * fraction, (1 + fraction) / 2):
        return by_position(total, fraction)
    return _complement(held_out, total), held_out


def split_items(items: int, fraction: float) -> tuple[Ranges, Ranges]:
    """The examples for training and those held out: up to 64 stretches of their places, one in each equal part of the whole.

    Examples that stand together often share a text, and a file may be sorted by label: stretches spread over it serve both. Where
    in its part a stretch lies looks random and is always the same, for a file may also have its labels in turn. At least one
    example is held out, and one is not, where the fraction is above 0 and there are two.

    Args:
        items: how many examples there are.
        fraction: share of them to hold out, at least 0 and below 1.
    """
    if fraction <= 0.0 or items < 2:
        return [(0, items)], []
    wanted = min(max(1, round(fraction * items)), items - 1)
    parts = min(STRETCHES, wanted)
    borders = [part * items // parts for part in range(parts + 1)]
    shares = [part * wanted // parts for part in range(parts + 1)]
    numbers = np.random.Philox(key=items).random_raw(parts).tolist()  # numpy promises that these stay the same
    held_out: Ranges = []
    for part, number in enumerate(numbers):
        size = shares[part + 1] - shares[part]
        begin = borders[part] + number % (borders[part + 1] - borders[part] - size + 1)
        if held_out and held_out[-1][1] == begin:
            held_out[-1] = (held_out[-1][0], begin + size)
        else:
            held_out.append((begin, begin + size))
    return _complement(held_out, items), held_out


def evenly(items: int, at_most: int) -> list[int]:
    """Places of at most so many items, spread evenly over all and always the same; 0: of all."""
    count = min(items, at_most) if at_most else items
    return [place * items // count for place in range(count)]


def by_position(total: int, fraction: float) -> tuple[Ranges, Ranges]:
    """The first and the last part of the text; the end-of-text that ends it all belongs to neither."""
    text = total - 1
    cut = int(text * (1 - fraction))
    return [(0, cut)], [(cut, text)]


def _by_document(ends: NDArray[np.int64], fraction: float) -> Ranges:
    stretches = min(STRETCHES, max(1, round(fraction * len(ends))))
    edges = np.concatenate([[0], ends])
    upper = edges[-1] * (np.arange(stretches) + 1) / stretches
    lower = upper - edges[-1] * fraction / stretches
    held_out: Ranges = []
    for begin, end in zip(_nearest(edges, lower), _nearest(edges, upper), strict=True):
        if begin == end:
            continue
        if held_out and held_out[-1][1] == begin:
            begin = held_out.pop()[0]
        held_out.append((begin, end))
    return held_out


def _nearest(edges: NDArray[np.int64], wanted: NDArray[np.float64]) -> list[int]:
    """For each wanted place the nearest edge, the earlier of two."""
    after = np.searchsorted(edges, wanted).clip(1, len(edges) - 1)
    before = after - 1
    nearest = np.where(wanted - edges[before] <= edges[after] - wanted, edges[before], edges[after])
    return [int(edge) for edge in nearest]


def _complement(ranges: Ranges, total: int) -> Ranges:
    borders = [0, *(border for pair in ranges for border in pair), total]
    return [(begin, end) for begin, end in zip(borders[::2], borders[1::2], strict=True) if begin < end]
