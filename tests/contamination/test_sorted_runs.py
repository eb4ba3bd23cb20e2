"""Entries that do not fit in memory are sorted by hash and then by position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gptkit.contamination.sorted_runs import SortedRuns


@pytest.mark.parametrize("hashes", [1, 3, 1 << 40])
@pytest.mark.parametrize(("run_entries", "merged_entries"), [(1, 1), (7, 5), (100, 30), (1 << 20, 1 << 20)])
def test_runs_are_merged_in_order(tmp_path: Path, hashes: int, run_entries: int, merged_entries: int) -> None:
    generator = np.random.default_rng(hashes + run_entries)
    values = generator.integers(hashes, size=500).astype(np.uint64)
    positions = np.cumsum(generator.integers(1, 9, size=500)).astype(np.uint64)
    runs = SortedRuns(tmp_path / "runs", run_entries=run_entries, merged_entries=merged_entries)
    for begin in range(0, 500, 6):
        runs.add(values[begin : begin + 6], positions[begin : begin + 6])
    shares = list(runs.merge(tmp_path / "hashes", tmp_path / "positions"))
    order = np.lexsort((positions, values))
    assert np.array_equal(np.fromfile(tmp_path / "hashes", dtype="<u8"), values[order])
    assert np.array_equal(np.fromfile(tmp_path / "positions", dtype="<u8"), positions[order])
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hashes", "positions"]
