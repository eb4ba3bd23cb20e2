"""External sorting of N-grams by (hash, position): sorted runs on disk, merged with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RUN_ENTRIES = 1 << 22
"""Entries of a run, which are sorted in memory: 64 MiB."""

MERGED_ENTRIES = 1 << 22
"""Entries of all runs together that are read at once while runs are merged."""

ENTRY = np.dtype("<u8")


class SortedRuns:
    """Collects entries, which arrive in the order of their positions, and writes them sorted. `merge` removes the runs."""

    def __init__(self, folder: Path, *, run_entries: int = RUN_ENTRIES, merged_entries: int = MERGED_ENTRIES) -> None:
        """Args:
        folder: the folder of the runs, which `merge` removes.
        run_entries: entries of a run.
        merged_entries: entries that are merged at once.
        """
        folder.mkdir()
        self.entries = 0
        self._folder, self._run_entries, self._merged_entries = folder, run_entries, merged_entries
        self._pending: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []
        self._pending_entries = 0
        self._sizes: list[int] = []

    def add(self, hashes: NDArray[np.uint64], positions: NDArray[np.uint64]) -> None:
        """Add entries whose positions increase, and are greater than all before: two arrays of equal length."""
        self._pending.append((hashes, positions))
        self._pending_entries += len(hashes)
        self.entries += len(hashes)
        if self._pending_entries >= self._run_entries:
            self._write_run()

    def merge(self, hashes: Path, positions: Path) -> Iterator[float]:
        """Write all entries, sorted by hash and then by position, to two files. Yields the share written so far.

        Args:
            hashes: the file of hashes.
            positions: the file of positions, in the same order.
        """
        self._write_run()
        runs = [(self._map(number, "hashes"), self._map(number, "positions")) for number in range(len(self._sizes))]
        block = max(1, self._merged_entries // max(1, len(runs)))
        begins = [0] * len(runs)
        written = 0
        with hashes.open("wb") as hash_file, positions.open("wb") as position_file:
            while written < self.entries:
                ends = [min(begin + block, size) for begin, size in zip(begins, self._sizes, strict=True)]
                # Every entry up to the smallest last entry of the blocks has been read: the next ones are in other blocks.
                last_entries = [
                    (int(run[0][end - 1]), int(run[1][end - 1]))
                    for run, begin, end in zip(runs, begins, ends, strict=True)
                    if begin < end
                ]
                limit = min(last_entries)
                ends = [
                    begin + _entries_up_to(limit, run[0][begin:end], run[1][begin:end])
                    for run, begin, end in zip(runs, begins, ends, strict=True)
                ]
                block_hashes = np.concatenate([run[0][begin:end] for run, begin, end in zip(runs, begins, ends, strict=True)])
                block_positions = np.concatenate([run[1][begin:end] for run, begin, end in zip(runs, begins, ends, strict=True)])
                order = np.lexsort((block_positions, block_hashes))
                hash_file.write(block_hashes[order].tobytes())
                position_file.write(block_positions[order].tobytes())
                written += len(order)
                begins = ends
                yield written / self.entries
        del runs
        for number in range(len(self._sizes)):
            for column in ("hashes", "positions"):
                (self._folder / f"{number:06d}.{column}").unlink()
        self._folder.rmdir()

    def _write_run(self) -> None:
        if not self._pending_entries:
            return
        hashes = np.concatenate([hashes for hashes, _ in self._pending])
        positions = np.concatenate([positions for _, positions in self._pending])
        order = np.argsort(hashes, kind="stable")  # stable: equal hashes stay in the order of their positions
        for column, values in (("hashes", hashes), ("positions", positions)):
            values[order].astype(ENTRY).tofile(self._folder / f"{len(self._sizes):06d}.{column}")
        self._sizes.append(len(order))
        self._pending, self._pending_entries = [], 0

    def _map(self, number: int, column: str) -> NDArray[np.uint64]:
        return np.asarray(np.memmap(self._folder / f"{number:06d}.{column}", dtype=ENTRY, mode="r"))


def _entries_up_to(limit: tuple[int, int], hashes: NDArray[np.uint64], positions: NDArray[np.uint64]) -> int:
    """Return how many of the sorted entries are not above `limit`, a hash and a position."""
    low = int(hashes.searchsorted(np.uint64(limit[0]), side="left"))
    high = int(hashes.searchsorted(np.uint64(limit[0]), side="right"))
    return low + int(positions[low:high].searchsorted(np.uint64(limit[1]), side="right"))
