"""The embedded film reviews."""

from __future__ import annotations

import functools
from collections import Counter

from gptkit.data import MovieReviewsConfig
from gptkit.records import Example


@functools.cache
def records(split: str, labelled: str = "rotten_tomatoes") -> list[Example]:
    return list(MovieReviewsConfig(labelled=labelled).build().records(split))  # type: ignore[arg-type]


def test_reviews_are_labelled_and_split() -> None:
    found = {split: records(split) for split in ("train", "validation", "test")}
    assert sum(map(len, found.values())) == 8530
    assert 0.18 < len(found["test"]) / 8530 < 0.22 and 0.09 < len(found["validation"]) / 8530 < 0.11
    for examples in found.values():
        labels = Counter(example.label for example in examples)
        assert set(labels) == {"negative", "positive"} and 0.45 < labels["positive"] / len(examples) < 0.55
    assert any(
        each.text == "effective but too-tepid biopic" and each.label == "positive" for all_ in found.values() for each in all_
    )


def test_reviews_that_are_held_out_are_in_no_text_that_is_learned_from() -> None:
    built = MovieReviewsConfig().build()
    learned = {chunk.text for chunk in built.chunks("train")}
    held_out = {each.text for split in ("validation", "test") for each in records(split)}
    assert len(learned) > 30_000 and len(held_out) > 2_000
    assert not learned & held_out
    assert not any("<br" in text for text in learned)


def test_the_labels_of_either_source_can_be_learned_from() -> None:
    sizes = {labelled: len(records("train", labelled)) for labelled in ("rotten_tomatoes", "imdb", "all")}
    assert sizes["imdb"] == 25_000 and sizes["all"] == sizes["rotten_tomatoes"] + 25_000
    assert records("test", "imdb") == records("test")
    assert len({MovieReviewsConfig(labelled=labelled).build().fingerprint for labelled in sizes}) == 3
