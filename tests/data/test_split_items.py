"""Which labelled examples are held out."""

from __future__ import annotations

import pytest

from gptkit.data.splits import split_items


@pytest.mark.parametrize("items", [0, 1, 2, 3, 10, 57, 1000, 99_999])
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_every_example_is_in_one_part(items: int, fraction: float) -> None:
    kept, held_out = ([place for begin, end in ranges for place in range(begin, end)] for ranges in split_items(items, fraction))
    assert sorted(kept + held_out) == list(range(items))
    if fraction == 0.0 or items < 2:
        assert not held_out
    else:
        assert kept and held_out
        if items >= 1000:
            assert abs(len(held_out) / items - fraction) < 0.01


def test_a_table_that_is_sorted_by_label_gives_every_label_to_both_parts() -> None:
    _, held_out = split_items(8000, 0.05)
    places = [place for begin, end in held_out for place in range(begin, end)]
    assert abs(sum(place < 4000 for place in places) / len(places) - 0.5) < 0.05


@pytest.mark.parametrize("period", [2, 3, 4])
def test_labels_in_turn_are_all_held_out(period: int) -> None:
    _, held_out = split_items(60 * period, 0.1)
    assert {place % period for begin, end in held_out for place in range(begin, end)} == set(range(period))
