"""The sources `review_dialogues`, `review_rankings` and `review_prompts`: film reviews as records of alignment.

They try the stages of alignment with labels that people gave: what an assistant learns to write are reviews, and what is preferred
are favourable ones. Every text begins with the same word, so that all are answers to one kind of prompt.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gptkit.data import MovieReviewsConfig
from gptkit.data.base import ConversationalData
from gptkit.records import Dialogue, Example, Prompt, Ranking, Turn

if TYPE_CHECKING:
    from gptkit.data.conversation_config import ReviewPromptsConfig, ReviewRankingsConfig

BEGIN = "Review:"
MOST_WORDS = 8
"""Words of the review that the user of a dialogue gives at most."""


class Reviews(ConversationalData):
    """Reviews in the splits of `movie_reviews`; only the sentences of Rotten Tomatoes unless `labelled` says otherwise."""

    def __init__(self, name: str, *settings: int, labelled: str = "rotten_tomatoes") -> None:
        """Raises: DataError: the package is not installed."""
        self._reviews = MovieReviewsConfig(labelled=labelled).build()
        self.splits = self._reviews.splits
        described = json.dumps([name, *settings, self._reviews.fingerprint])
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def _examples(self, split: str) -> Iterator[Example]:
        for review in self._reviews.records(split):
            assert isinstance(review, Example)
            yield review


class ReviewDialogues(Reviews):
    """One dialogue per review."""

    def __init__(self) -> None:
        super().__init__("review_dialogues")

    def records(self, split: str) -> Iterator[Dialogue]:
        for review in self._examples(split):
            first, rest = split_review(review.text, _hash_number("words", review.text) % (MOST_WORDS + 1))
            yield Dialogue((Turn("user", first), Turn("assistant", rest)))


class ReviewPrompts(Reviews):
    """One prompt per review."""

    def __init__(self, settings: ReviewPromptsConfig) -> None:
        super().__init__("review_prompts", settings.words)
        self._words = settings.words

    def records(self, split: str) -> Iterator[Prompt]:
        for review in self._examples(split):
            first, rest = split_review(review.text, self._words)
            yield Prompt((Turn("user", first),), {"label": str(review.label), "rest": rest})


class ReviewRankings(Reviews):
    """Rankings of as many reviews each, in turn with one favourable review, two, and so on up to all but one."""

    def __init__(self, settings: ReviewRankingsConfig) -> None:
        super().__init__("review_rankings", settings.completions, settings.words or 0, labelled=settings.labelled)
        self._completions = settings.completions
        self._words = settings.words

    def _examples(self, split: str) -> Iterator[Example]:
        for review in super()._examples(split):
            yield review if self._words is None else dataclasses.replace(review, text=keep_last_words(review.text, self._words))

    def records(self, split: str) -> Iterator[Ranking]:
        reviews = sorted(dict.fromkeys(self._examples(split)), key=lambda review: _hash_number("ranking", review.text))
        favourable = [review for review in reviews if review.label == "positive"]
        others = [review for review in reviews if review.label != "positive"]
        good, first, first_other = 1, 0, 0
        while (end := first + good) <= len(favourable) and (end_other := first_other + self._completions - good) <= len(others):
            ranked = sorted(
                favourable[first:end] + others[first_other:end_other], key=lambda review: _hash_number("place", review.text)
            )
            yield Ranking(
                (Turn("user", BEGIN),),
                tuple(f" {review.text}" for review in ranked),
                tuple(int(review.label != "positive") for review in ranked),
                demonstration=f" {favourable[end % len(favourable)].text}",
            )
            good, first, first_other = good % (self._completions - 1) + 1, end, end_other


def keep_last_words(text: str, words: int) -> str:
    """The end of a text, as it stands there; the whole where it has no more words than that."""
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    return text if len(starts) <= words else text[starts[-words] :]


def split_review(text: str, words: int) -> tuple[str, str]:
    """The beginning of a prompt with the first words of a review, and the rest, one word at least, with the space before it."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    count = min(words, len(ends) - 1)
    review = f"{BEGIN} {text}"
    begin = len(BEGIN) + (1 + ends[count - 1] if count else 0)
    return review[:begin], review[begin:]


def _hash_number(purpose: str, text: str) -> int:
    """A number that looks random, depends on nothing but the text, and has nothing to do with that for another purpose."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {text}".encode()).digest()[:8])
