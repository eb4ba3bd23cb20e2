"""Best-fit packing: every sequence is in exactly one row, and no row is too long."""

from __future__ import annotations

import random

import pytest

from gptkit.data.packing import pack_best_fit


@pytest.mark.parametrize("seed", range(5))
def test_every_sequence_is_in_one_row_and_rows_are_not_too_long(seed: int) -> None:
    generator = random.Random(seed)
    lengths = [generator.randint(1, 50) for _ in range(200)]
    rows = pack_best_fit(lengths, 50)
    assert sorted(index for row in rows for index in row) == list(range(200))
    assert max(sum(lengths[index] for index in row) for row in rows) <= 50
    assert len(rows) <= 11 / 9 * -(-sum(lengths) // 50) + 1
    assert rows == pack_best_fit(lengths, 50)


def test_longest_sequence_is_placed_first_where_least_room_is_left() -> None:
    assert pack_best_fit([3, 9, 5, 1, 7, 2], 10) == [[1, 3], [4, 0], [2, 5]]
    with pytest.raises(ValueError, match="sequence 1 has length 11"):
        pack_best_fit([3, 11], 10)
