"""The embedded film reviews."""

from __future__ import annotations

import functools
from collections import Counter

from gptkit.data import MovieReviewsConfig
from gptkit.records import Example


@functools.cache
def records(split: str, labelled: str = "rotten_tomatoes") -> list[Example]:
    return list(MovieReviewsConfig(labelled=labelled).build().records(split))  # type: ignore[arg-type]


def test_reviews_have_balanced_labels_in_every_split() -> None:
    by_split = {split: records(split) for split in ("train", "validation", "test")}
    assert sum(map(len, by_split.values())) == 8530
    assert 0.18 < len(by_split["test"]) / 8530 < 0.22 and 0.09 < len(by_split["validation"]) / 8530 < 0.11
    for examples in by_split.values():
        labels = Counter(example.label for example in examples)
        assert set(labels) == {"negative", "positive"} and 0.45 < labels["positive"] / len(examples) < 0.55
    assert any(
        each.text == "effective but too-tepid biopic" and each.label == "positive"
        for examples in by_split.values()
        for each in examples
    )


def test_training_text_contains_no_held_out_review() -> None:
    built = MovieReviewsConfig().build()
    training_texts = {chunk.text for chunk in built.chunks("train")}
    held_out = {each.text for split in ("validation", "test") for each in records(split)}
    assert len(training_texts) > 30_000 and len(held_out) > 2_000
    assert not training_texts & held_out
    assert not any("<br" in text for text in training_texts)


def test_labelled_selects_the_training_reviews() -> None:
    sizes = {labelled: len(records("train", labelled)) for labelled in ("rotten_tomatoes", "imdb", "all")}
    assert sizes["imdb"] == 25_000 and sizes["all"] == sizes["rotten_tomatoes"] + 25_000
    assert records("test", "imdb") == records("test")
    assert len({MovieReviewsConfig(labelled=labelled).build().fingerprint for labelled in sizes}) == 3
