"""The held-out data: whole documents and examples, spread over the corpus, of about the requested fraction."""

from __future__ import annotations

import numpy as np
import pytest

from gptkit.data.splits import Ranges, evenly_spaced, split_by_position, split_documents, split_items


def indices_of(ranges: Ranges) -> list[int]:
    return [index for begin, end in ranges for index in range(begin, end)]


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(12))
def test_splits_of_documents_are_disjoint_complete_and_of_the_requested_size(seed: int, fraction: float) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.geometric(0.02, size=generator.integers(2, 400))
    if seed % 3 == 0:
        lengths[generator.integers(len(lengths))] = 5000  # one document that is much longer than the others
    ends = np.cumsum(lengths + 1)
    total = int(ends[-1])
    train, held_out = split_documents(ends, fraction)
    both = sorted(indices_of(train) + indices_of(held_out))
    assert both in (list(range(total)), list(range(total - 1)))
    assert fraction / 2 - 1 / total <= len(indices_of(held_out)) / total <= 2 * fraction
    assert all(begin < end for begin, end in train + held_out)
    edges = {0, *ends.tolist()}
    assert len(both) == total - 1 or edges.issuperset(border for pair in held_out for border in pair)


def test_held_out_documents_are_spread_over_the_corpus() -> None:
    ends = np.arange(1, 1001) * 50
    _, held_out = split_documents(ends, 0.05)
    assert len(indices_of(held_out)) == 2500
    assert [sum(begin // 10_000 == tenth for begin, _ in held_out) for tenth in range(5)] == [10] * 5
    assert len(split_documents(np.arange(1, 100_001) * 50, 0.05)[1]) == 64


def test_few_or_long_documents_are_split_by_position() -> None:
    for ends in ([1000], [500, 1000], [10, 1000], [990, 1000], [1, 2]):
        assert split_documents(np.array(ends), 0.1) == split_by_position(ends[-1], 0.1)


@pytest.mark.parametrize("characters", [10, 99, 1_115_394])
def test_last_tenth_of_a_single_document_is_held_out(characters: int) -> None:
    """text[int(0.9 * n):], as is usual for small corpora; the end-of-text after it is no part of it."""
    cut = int(0.9 * characters)
    assert split_documents(np.array([characters + 1]), 0.1) == ([(0, cut)], [(cut, characters)])


def test_fraction_zero_holds_out_nothing() -> None:
    assert split_documents(np.array([3, 9]), 0.0) == ([(0, 9)], [])


@pytest.mark.parametrize("items", [0, 1, 2, 3, 10, 57, 1000, 99_999])
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_every_item_is_in_exactly_one_split(items: int, fraction: float) -> None:
    kept, held_out = ([index for begin, end in ranges for index in range(begin, end)] for ranges in split_items(items, fraction))
    assert sorted(kept + held_out) == list(range(items))
    if fraction == 0.0 or items < 2:
        assert not held_out
    else:
        assert kept and held_out
        if items >= 1000:
            assert abs(len(held_out) / items - fraction) < 0.01


def test_both_splits_of_a_table_sorted_by_label_have_all_labels() -> None:
    _, held_out = split_items(8000, 0.05)
    indices = [index for begin, end in held_out for index in range(begin, end)]
    assert abs(sum(index < 4000 for index in indices) / len(indices) - 0.5) < 0.05


@pytest.mark.parametrize("period", [2, 3, 4])
def test_alternating_labels_are_all_held_out(period: int) -> None:
    _, held_out = split_items(60 * period, 0.1)
    assert {index % period for begin, end in held_out for index in range(begin, end)} == set(range(period))


@pytest.mark.parametrize(
    ("items", "at_most", "indices"),
    [(0, 0, []), (0, 3, []), (4, 0, [0, 1, 2, 3]), (4, 9, [0, 1, 2, 3]), (10, 3, [0, 3, 6])],
)
def test_evenly_spaced_selects_the_expected_items(items: int, at_most: int, indices: list[int]) -> None:
    assert evenly_spaced(items, at_most) == indices


def test_evenly_spaced_selects_no_item_twice() -> None:
    assert len(set(evenly_spaced(1000, 256))) == 256
