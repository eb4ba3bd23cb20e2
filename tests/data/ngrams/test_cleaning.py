"""GPT-3's filter removes what a slow, obvious version and lm-evaluation-harness's Janitor remove."""

from __future__ import annotations

import itertools
import random

import pytest

from gptkit.data.ngrams.cleaning import CleanedText, clean_text
from gptkit.data.ngrams.ngram_set import NgramSet
from gptkit.data.ngrams.normalization import normalized_words

ITEM = "Which of these thirteen words would a careful reader expect to find in here, too?"
FILLER = " ".join(f"word{number}" for number in range(200))


def slowly_cleaned(text: str, items: list[str], n: int, window: int, shortest: int, most: int) -> list[str]:
    """Mark every character to remove, one N-gram at a time."""
    ngrams = [words[place : place + n] for words in map(normalized_words, items) for place in range(len(words) - n + 1)]
    words: list[tuple[str, int, int]] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        end = place
        while end < len(text) and not text[end].isspace():
            end += 1
        words += [(word, place, end) for word in normalized_words(text[place:end])]
        place = end
    is_removed = [False] * len(text)
    for first in range(len(words) - n + 1):
        if [word for word, _, _ in words[first : first + n]] in ngrams:
            for character in range(max(0, words[first][1] - window), min(len(text), words[first + n - 1][2] + window)):
                is_removed[character] = True
    if not any(is_removed):
        return [text] if text else []
    pieces = []
    for removed, group in itertools.groupby(range(len(text)), key=is_removed.__getitem__):
        characters = list(group)
        if not removed:
            pieces.append(text[characters[0] : characters[-1] + 1])
    return [] if len(pieces) > most else [piece for piece in pieces if len(piece) >= shortest]


def pieces_of(text: str, cleaned: CleanedText) -> list[str]:
    return [text[begin:end] for begin, end in cleaned.ranges]


def random_text(random: random.Random, words: int, vocabulary: str) -> str:
    marks = ["", "", "", ".", ",", " -", "“", "\n", "  "]
    return " ".join(random.choice(vocabulary).swapcase() + random.choice(marks) for _ in range(words))


@pytest.mark.parametrize("seed", range(60))
def test_pieces_are_those_of_a_slow_version(seed: int) -> None:
    chance = random.Random(seed)
    n, window, shortest, most = (chance.choice(values) for values in ([2, 3, 4], [0, 1, 5], [0, 4, 9], [1, 3, 50]))
    items = [random_text(chance, chance.randint(1, 7), "abcdeÉ") for _ in range(4)]
    text = random_text(chance, chance.randint(0, 90), "abcdeÉ")
    cleaned = clean_text(text, NgramSet(items, n), window=window, shortest_piece=shortest, most_pieces=most)
    assert pieces_of(text, cleaned) == slowly_cleaned(text, items, n, window, shortest, most)


@pytest.mark.parametrize("seed", range(30))
def test_pieces_are_those_of_the_janitor(seed: int) -> None:
    janitor_module = pytest.importorskip("lm_eval.decontamination.janitor", reason="lm-eval is not installed")
    chance = random.Random(seed)
    items = [" ".join(chance.choice("abcd") for _ in range(6)) for _ in range(3)]
    text = " ".join(chance.choice("abcdABCD") + chance.choice(["", ",", "!?"]) for _ in range(chance.randint(1, 150)))
    janitor = janitor_module.Janitor(ngram_n=4, window_to_remove=7, too_dirty_cutoff=10**9, minimum_slice_length=9)
    for item in items:
        janitor.register_contaminant_python(item)
    cleaned = clean_text(text, NgramSet(items, 4), window=7, shortest_piece=9, most_pieces=10**9)
    # The Janitor keeps one character more before a piece between two N-grams, drops a first piece of exactly the minimum, and a
    # short text even without collisions. It counts N-grams instead of pieces, so its cut-off is not compared.
    expected = [
        text[begin - (begin > 0 and end < len(text)) : end]
        for begin, end in cleaned.ranges
        if end - begin > 9 or begin > 0 or (end == len(text) and end - begin == 9)
    ]
    assert janitor.clean_python(text) == expected


def test_an_ngram_and_200_characters_on_each_side_are_removed() -> None:
    text = f"{FILLER}\n{ITEM.upper()} {FILLER}"
    begin, end = len(FILLER) + 1, len(FILLER) + 1 + len(ITEM)
    cleaned = clean_text(text, NgramSet([f"Question: {ITEM} Answer:"], 13))
    assert cleaned.ranges == ((0, begin - 200), (end + 200, len(text)))
    assert cleaned.collisions == len(ITEM.split()) - 12
    assert not cleaned.is_contaminated


def test_a_document_that_is_split_into_more_than_ten_pieces_is_removed() -> None:
    ngrams = NgramSet([ITEM], 13)
    for copies, is_contaminated in [(9, False), (10, True)]:
        text = f" {ITEM} ".join([FILLER] * (copies + 1))
        cleaned = clean_text(text, ngrams)
        assert cleaned.is_contaminated == is_contaminated
        assert len(cleaned.ranges) == (0 if is_contaminated else copies + 1)


def test_short_pieces_are_dropped_and_short_documents_are_not() -> None:
    ngrams = NgramSet([ITEM], 13)
    assert clean_text("A short text.", ngrams).ranges == ((0, 13),)
    text = f"{'x' * 150} {ITEM} {'y' * 398}z"
    assert clean_text(text, ngrams).ranges == ((len(text) - 200, len(text)),)
    assert clean_text(f"{ITEM} {'y' * 200} {'z' * 150}", ngrams).ranges == ()


def test_an_item_of_fewer_words_removes_nothing() -> None:
    ngrams = NgramSet(["word1 word2 word3"], 13)
    assert len(ngrams) == 0
    assert clean_text(FILLER, ngrams) == CleanedText(((0, len(FILLER)),), 0, False)


def test_common_phrases_are_not_removed() -> None:
    ngrams = NgramSet(["one two three four", "two three four five"], 3)
    assert len(ngrams) == 3
    documents = ["One, two three!"] * 11 + ["two three four two three four"] * 10
    assert ngrams.remove_common(iter(documents), 10) == 1
    assert ngrams.find("one two three four") == [(4, 18)]
