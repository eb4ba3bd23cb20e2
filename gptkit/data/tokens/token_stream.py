"""Stretches of the tokens on disk, end to end, as one sequence that closes to a ring."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.data.splits import Ranges
from gptkit.data.tokens.shards import Shards


class TokenStream:
    """Token `len(stream)` is token 0 again."""

    def __init__(self, stretches: Iterable[tuple[Shards, Ranges]]) -> None:
        """Args: stretches: of the tokens of one source or of several, in the order in which they follow one another."""
        self._parts: list[NDArray[Any]] = []
        runs: list[tuple[int, int, int]] = []
        for shards, ranges in stretches:
            runs += [(len(self._parts) + part, begin, end) for part, begin, end in _runs(shards.parts, ranges)]
            self._parts += shards.parts
        begins = list(accumulate((end - begin for _, begin, end in runs), initial=0))
        self._size = begins.pop()
        # a run is a stretch of one file: where it begins in the stream, which file, and where it begins and ends there
        self._begins = np.array(begins, dtype=np.int64)
        self._part, self._first, self._end = np.array(runs, dtype=np.int64).reshape(-1, 3).T

    def __len__(self) -> int:
        return self._size

    def read(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """(N,) -> (N, length) int64: `length` tokens from each of the places `starts`, which are below the length of the stream."""
        tokens = np.empty((len(starts), length), dtype=np.int64)
        run = self._begins.searchsorted(starts, side="right") - 1
        index = starts - self._begins[run] + self._first[run]
        part = self._part[run]
        part[index + length > self._end[run]] = -1  # the window ends in another run
        for number in set(part.tolist()):
            rows = (part == number).nonzero()[0]
            if number >= 0:
                tokens[rows] = _windows(self._parts[number], length)[index[rows]]
            else:
                for row in rows:
                    self._across(tokens[row], int(run[row]), int(index[row]))
        return tokens

    def _across(self, row: NDArray[np.int64], run: int, place: int) -> None:
        """Fill a row that begins at this place of a run and ends in another."""
        filled = 0
        while filled < len(row):
            stop = min(place + len(row) - filled, int(self._end[run]))
            row[filled : filled + stop - place] = self._parts[self._part[run]][place:stop]
            filled += stop - place
            run = (run + 1) % len(self._begins)
            place = int(self._first[run])


def _windows(part: NDArray[Any], length: int) -> NDArray[Any]:
    """(tokens - length + 1, length): every window of a file, none of them copied; picking rows then copies whole windows."""
    step = part.strides[0]
    return np.ndarray((len(part) - length + 1, length), part.dtype, part, strides=(step, step))


def _runs(parts: list[NDArray[Any]], ranges: Ranges) -> list[tuple[int, int, int]]:
    """(file, begin, end) of the stretches, those that lie in several files as several."""
    runs, firsts = [], [0, *accumulate(map(len, parts))]
    for begin, end in ranges:
        for number, part in enumerate(parts):
            here = max(0, begin - firsts[number]), min(len(part), end - firsts[number])
            if here[0] < here[1]:
                runs.append((number, *here))
    return runs
