"""Stretches of the tokens on disk, end to end, as one sequence that closes to a ring."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.data.shards import Shards
from gptkit.data.split import Ranges


class TokenStream:
    """Token `len(stream)` is token 0 again."""

    def __init__(self, shards: Shards, ranges: Ranges) -> None:
        self._runs = list(_runs(shards.parts, ranges))
        *self._begins, self._size = accumulate(map(len, self._runs), initial=0)

    def __len__(self) -> int:
        return self._size

    def read(self, starts: Sequence[int], length: int) -> NDArray[np.int64]:
        """(N, length) int64: `length` tokens from each of the N places `starts`, all below the length of the stream."""
        tokens = np.empty((len(starts), length), dtype=np.int64)
        # one copy a row out of the mapped file is faster than one gather of all of them through an array of indices
        for row, start in zip(tokens, starts, strict=True):
            run = bisect_right(self._begins, start) - 1
            offset = start - self._begins[run]
            piece = self._runs[run][offset : offset + length]
            if len(piece) == length:
                row[:] = piece
            else:
                self._across(row, run, offset)
        return tokens

    def _across(self, row: NDArray[np.int64], run: int, offset: int) -> None:
        filled = 0
        while filled < len(row):
            piece = self._runs[run][offset : offset + len(row) - filled]
            row[filled : filled + len(piece)] = piece
            filled, run, offset = filled + len(piece), (run + 1) % len(self._runs), 0


def _runs(parts: list[NDArray[Any]], ranges: Ranges) -> list[NDArray[Any]]:
    """The stretches, those that lie in several files as several."""
    runs, begins = [], [0, *accumulate(map(len, parts))]
    for begin, end in ranges:
        for part, first in zip(parts, begins, strict=False):
            run = part[max(0, begin - first) : max(0, end - first)]
            if len(run):
                runs.append(run)
    return runs
