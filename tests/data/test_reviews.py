"""The embedded reviews as dialogues, rankings and prompts."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

import pytest

from gptkit.data import MovieReviewsConfig, ReviewDialoguesConfig, ReviewPromptsConfig, ReviewRankingsConfig

SPLITS = ("train", "validation", "test")


@functools.cache
def reviews(split: str) -> dict[str, Any]:
    return {f" {example.text}": example.label for example in MovieReviewsConfig().build().records(split)}


def records(settings: Any, split: str) -> list[Any]:
    return list(settings.build().records(split))


@pytest.mark.parametrize("split", SPLITS)
def test_every_review_is_one_dialogue_and_one_prompt_in_its_split(split: str) -> None:
    dialogues, prompts = records(ReviewDialoguesConfig(), split), records(ReviewPromptsConfig(), split)
    assert {"".join(turn.text for turn in each.turns) for each in dialogues} == {f"Review:{text}" for text in reviews(split)}
    assert {each.turns[0].text + each.facts["rest"] for each in prompts} == {f"Review:{text}" for text in reviews(split)}


@pytest.mark.parametrize("split", SPLITS)
def test_rankings_compare_each_review_of_their_split_at_most_once(split: str) -> None:
    rankings = records(ReviewRankingsConfig(), split)
    compared = Counter(text for ranking in rankings for text in ranking.completions)
    assert set(compared) <= set(reviews(split)) and max(compared.values()) == 1
    assert len(compared) > 0.9 * len(reviews(split))
    for ranking in rankings:
        assert [turn.text for turn in ranking.prompt] == ["Review:"] and ranking.labeler is None
        labels = [reviews(split)[text] for text in ranking.completions]
        assert ranking.ranks == tuple({"positive": 0, "negative": 1}[label] for label in labels)
        assert set(ranking.ranks) == {0, 1}
        assert reviews(split)[ranking.demonstration] == "positive" and ranking.demonstration not in ranking.completions


def test_position_of_a_completion_is_independent_of_its_rank() -> None:
    best = [sum(ranking.ranks[index] == 0 for ranking in records(ReviewRankingsConfig(), "train")) for index in range(4)]
    assert max(best) < 1.15 * min(best)


def test_user_turns_have_zero_to_eight_words_equally_often() -> None:
    dialogues = [
        each for each in records(ReviewDialoguesConfig(), "train") if len("".join(turn.text for turn in each.turns).split()) > 9
    ]
    words = Counter(len(each.turns[0].text.split()) - 1 for each in dialogues)
    assert sorted(words) == list(range(9)) and max(words.values()) < 1.3 * min(words.values())
    assert all(each.turns[1].text.startswith(" ") and each.turns[1].text.strip() for each in dialogues)


@pytest.mark.parametrize("words", [0, 4])
def test_prompt_has_the_given_number_of_words_and_leaves_at_least_one(words: int) -> None:
    for prompt in records(ReviewPromptsConfig(words=words), "test"):
        rest = prompt.facts["rest"].split()
        assert rest and len(prompt.turns[0].text.split()) - 1 == min(words, len(prompt.turns[0].text.split()) - 2 + len(rest))


def test_settings_change_records_and_fingerprint() -> None:
    assert {len(each.completions) for each in records(ReviewRankingsConfig(completions=7), "test")} == {7}
    assert ReviewRankingsConfig(completions=7).build().fingerprint != ReviewRankingsConfig().build().fingerprint
    assert ReviewPromptsConfig(words=2).build().fingerprint != ReviewPromptsConfig().build().fingerprint


def test_words_keeps_the_end_of_long_reviews() -> None:
    labels = {example.text: example.label for example in MovieReviewsConfig(labelled="imdb").build().records("train")}
    rankings = records(ReviewRankingsConfig(labelled="imdb", words=5), "train")[:20]
    ends = {text.split()[-5:][0] + text[-12:]: label for text, label in labels.items()}
    for ranking in rankings:
        for text, rank in zip(ranking.completions, ranking.ranks, strict=True):
            assert len(text.split()) == 5
            assert ends[text.split()[0] + text[-12:]] == {0: "positive", 1: "negative"}[rank]
