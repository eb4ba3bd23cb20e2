"""What is held out for validation: whole documents and examples from all over the corpus, about the requested fraction."""

from __future__ import annotations

import numpy as np
import pytest

from gptkit.data.splits import Ranges, evenly_spaced, split_by_position, split_documents, split_items


def covered(ranges: Ranges) -> list[int]:
    return [place for begin, end in ranges for place in range(begin, end)]


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(12))
def test_the_parts_are_disjoint_complete_and_of_the_size_asked_for(seed: int, fraction: float) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.geometric(0.02, size=draw.integers(2, 400))
    if seed % 3 == 0:
        lengths[draw.integers(len(lengths))] = 5000  # one document that is much longer than the others
    ends = np.cumsum(lengths + 1)
    total = int(ends[-1])
    train, held_out = split_documents(ends, fraction)
    both = sorted(covered(train) + covered(held_out))
    assert both in (list(range(total)), list(range(total - 1)))
    assert fraction / 2 - 1 / total <= len(covered(held_out)) / total <= 2 * fraction
    assert all(begin < end for begin, end in train + held_out)
    edges = {0, *ends.tolist()}
    assert len(both) == total - 1 or edges.issuperset(border for pair in held_out for border in pair)


def test_documents_of_every_age_are_held_out() -> None:
    ends = np.arange(1, 1001) * 50
    _, held_out = split_documents(ends, 0.05)
    assert len(covered(held_out)) == 2500
    assert [sum(begin // 10_000 == tenth for begin, _ in held_out) for tenth in range(5)] == [10] * 5
    assert len(split_documents(np.arange(1, 100_001) * 50, 0.05)[1]) == 64


def test_documents_that_are_too_few_or_too_long_are_cut() -> None:
    for ends in ([1000], [500, 1000], [10, 1000], [990, 1000], [1, 2]):
        assert split_documents(np.array(ends), 0.1) == split_by_position(ends[-1], 0.1)


@pytest.mark.parametrize("characters", [10, 99, 1_115_394])
def test_one_document_gives_its_last_tenth(characters: int) -> None:
    """text[int(0.9 * n):], as is usual for small corpora; the end-of-text after it is no part of it."""
    cut = int(0.9 * characters)
    assert split_documents(np.array([characters + 1]), 0.1) == ([(0, cut)], [(cut, characters)])


def test_nothing_is_held_out_where_nothing_is_asked_for() -> None:
    assert split_documents(np.array([3, 9]), 0.0) == ([(0, 9)], [])


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


@pytest.mark.parametrize(
    ("items", "at_most", "places"),
    [(0, 0, []), (0, 3, []), (4, 0, [0, 1, 2, 3]), (4, 9, [0, 1, 2, 3]), (10, 3, [0, 3, 6])],
)
def test_items_are_spread_evenly(items: int, at_most: int, places: list[int]) -> None:
    assert evenly_spaced(items, at_most) == places


def test_no_item_is_taken_twice() -> None:
    assert len(set(evenly_spaced(1000, 256))) == 256
