"""Some of many items, spread evenly."""

from __future__ import annotations

import pytest

from gptkit.data.splits import evenly


@pytest.mark.parametrize(
    ("items", "at_most", "places"),
    [(0, 0, []), (0, 3, []), (4, 0, [0, 1, 2, 3]), (4, 9, [0, 1, 2, 3]), (10, 3, [0, 3, 6])],
)
def test_which_of_them(items: int, at_most: int, places: list[int]) -> None:
    assert evenly(items, at_most) == places


def test_none_twice() -> None:
    assert len(set(evenly(1000, 256))) == 256
