"""Ranges of the tokens on disk as one circular stream."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.data.splits import Ranges
from gptkit.data.tokens.shards import Shards


class TokenStream:
    """A circular sequence of tokens: token 0 follows the last one."""

    def __init__(self, sources: Iterable[tuple[Shards, Ranges]]) -> None:
        """Args:
        sources: shards and the ranges of their tokens to include, in the order of the stream.
        """
        self._parts: list[NDArray[Any]] = []
        runs: list[tuple[int, int, int]] = []
        for shards, ranges in sources:
            runs += [(len(self._parts) + part, begin, end) for part, begin, end in _runs(shards.parts, ranges)]
            self._parts += shards.parts
        begins = list(accumulate((end - begin for _, begin, end in runs), initial=0))
        self._size = begins.pop()
        # a run is a range of one file: its start in the stream, the file, and its start and end in the file
        self._begins = np.array(begins, dtype=np.int64)
        self._part, self._first, self._end = np.array(runs, dtype=np.int64).reshape(-1, 3).T

    def __len__(self) -> int:
        return self._size

    def read(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Read `length` tokens from each position: (N,) -> (N, length) int64. Positions are below the length of the stream."""
        tokens = np.empty((len(starts), length), dtype=np.int64)
        run = self._begins.searchsorted(starts, side="right") - 1
        index = starts - self._begins[run] + self._first[run]
        part = self._part[run]
        part[index + length > self._end[run]] = -1  # the window extends into another run
        for number in set(part.tolist()):
            rows = (part == number).nonzero()[0]
            if number >= 0:
                tokens[rows] = _windows(self._parts[number], length)[index[rows]]
            else:
                for row in rows:
                    self._read_across_runs(tokens[row], int(run[row]), int(index[row]))
        return tokens

    def _read_across_runs(self, row: NDArray[np.int64], run: int, index: int) -> None:
        """Fill a row that starts at this index of a file, within a run, and extends into other runs."""
        filled = 0
        while filled < len(row):
            stop = min(index + len(row) - filled, int(self._end[run]))
            row[filled : filled + stop - index] = self._parts[self._part[run]][index:stop]
            filled += stop - index
            run = (run + 1) % len(self._begins)
            index = int(self._first[run])


def _windows(part: NDArray[Any], length: int) -> NDArray[Any]:
    """Return all windows of a file as a view: (tokens - length + 1, length). Indexing rows then copies whole windows."""
    step = part.strides[0]
    return np.ndarray((len(part) - length + 1, length), part.dtype, part, strides=(step, step))


def _runs(parts: list[NDArray[Any]], ranges: Ranges) -> list[tuple[int, int, int]]:
    """Split ranges of all tokens at the borders of files; return (file, begin, end) of each part."""
    runs, firsts = [], [0, *accumulate(map(len, parts))]
    for begin, end in ranges:
        for number, part in enumerate(parts):
            start, stop = max(0, begin - firsts[number]), min(len(part), end - firsts[number])
            if start < stop:
                runs.append((number, start, stop))
    return runs
