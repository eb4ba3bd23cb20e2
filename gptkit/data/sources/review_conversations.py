"""The sources `review_dialogues`, `review_rankings` and `review_prompts`: film reviews as records for alignment.

They provide human labels for trying out the stages of alignment: the assistant writes reviews, and favourable reviews are
preferred. Every prompt starts with the same word.
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
MAX_WORDS = 8
"""Maximum number of words of the review in the user's turn of a dialogue."""


class Reviews(ConversationalData):
    """Reviews in the splits of `movie_reviews`: those of Rotten Tomatoes, or the ones that `labelled` selects."""

    def __init__(self, name: str, *settings: int, labelled: str = "rotten_tomatoes") -> None:
        """Open `movie_reviews` and compute the fingerprint.

        Raises:
            DataError: the package is not installed.
        """
        self._reviews = MovieReviewsConfig(labelled=labelled).build()
        self.splits = self._reviews.splits
        content_key = json.dumps([name, *settings, self._reviews.fingerprint])
        self.fingerprint = hashlib.sha256(content_key.encode()).hexdigest()

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
            first, rest = split_review(review.text, _hash_number("words", review.text) % (MAX_WORDS + 1))
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
    """Rankings of `completions` reviews, alternately with one favourable review, two, and so on up to all but one."""

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
        favourable_count, first, first_other = 1, 0, 0
        while (end := first + favourable_count) <= len(favourable) and (
            end_other := first_other + self._completions - favourable_count
        ) <= len(others):
            ranked = sorted(
                favourable[first:end] + others[first_other:end_other], key=lambda review: _hash_number("place", review.text)
            )
            yield Ranking(
                (Turn("user", BEGIN),),
                tuple(f" {review.text}" for review in ranked),
                tuple(int(review.label != "positive") for review in ranked),
                demonstration=f" {favourable[end % len(favourable)].text}",
            )
            favourable_count, first, first_other = favourable_count % (self._completions - 1) + 1, end, end_other


def keep_last_words(text: str, words: int) -> str:
    """Return the last words of a text with the space between them; the whole text if it has no more words."""
    starts = [word.start() for word in re.finditer(r"\S+", text)]
    return text if len(starts) <= words else text[starts[-words] :]


def split_review(text: str, words: int) -> tuple[str, str]:
    """Return the prompt with the first words of a review, and the rest with the space before it, which has at least one word."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    count = min(words, len(ends) - 1)
    review = f"{BEGIN} {text}"
    begin = len(BEGIN) + (1 + ends[count - 1] if count else 0)
    return review[:begin], review[begin:]


def _hash_number(purpose: str, text: str) -> int:
    """Return a pseudo-random number that depends only on the purpose and the text."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {text}".encode()).digest()[:8])
