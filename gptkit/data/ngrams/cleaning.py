"""GPT-3's filter of training text: without the N-grams of evaluation sets and what surrounds them.

Source: "Language Models are Few-Shot Learners", appendix C: 13-grams that occur in an evaluation set are removed together with a
window of 200 characters around them, which splits the document into pieces. Pieces of less than 200 characters are discarded, and
so are documents that are split into more than 10 pieces. The paper does not say whether discarded pieces count; here they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gptkit.data.ngrams.ngram_set import NgramSet

N = 13
"""Words of an N-gram."""
WINDOW = 200
"""Characters that are removed before an N-gram, and as many after it."""
SHORTEST_PIECE = 200
"""Characters of the shortest piece that is kept."""
MOST_PIECES = 10
"""Pieces of a document; one that is split into more is contaminated."""
MOST_DOCUMENTS = 10
"""Documents that contain an N-gram; if there are more, it is a common phrase, and is not removed."""


@dataclass(frozen=True)
class CleanedText:
    """What is left of a document."""

    ranges: tuple[tuple[int, int], ...]
    """The half-open ranges of the characters of the pieces, in order."""
    collisions: int
    """The number of its N-grams that occur in an evaluation set."""
    is_contaminated: bool
    """Whether it was split into too many pieces. None of them is left."""


def clean_text(
    text: str,
    ngrams: NgramSet,
    *,
    window: int = WINDOW,
    shortest_piece: int = SHORTEST_PIECE,
    most_pieces: int = MOST_PIECES,
) -> CleanedText:
    """Return what is left of a document. A document without collisions is left as it is, even if it is short.

    Args:
        text: the document.
        ngrams: the N-grams of the evaluation sets.
        window: characters to remove on each side of an N-gram.
        shortest_piece: characters of the shortest piece that is kept.
        most_pieces: the document is contaminated if it is split into more pieces, short ones included.
    """
    collisions = ngrams.find(text)
    if not collisions:
        return CleanedText(((0, len(text)),) if text else (), 0, False)
    pieces = list(_pieces(len(text), [(begin - window, end + window) for begin, end in collisions]))
    if len(pieces) > most_pieces:
        return CleanedText((), len(collisions), True)
    return CleanedText(tuple((begin, end) for begin, end in pieces if end - begin >= shortest_piece), len(collisions), False)


def _pieces(length: int, removed: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the ranges between those that are removed, which are in ascending order."""
    place = 0
    for begin, end in removed:
        if begin > place:
            yield place, begin
        place = max(place, end)
    if place < length:
        yield place, length
