"""The lookup agrees with a slow, obvious version, also if many hashes collide."""

from __future__ import annotations

from pathlib import Path

import pytest

from gptkit.contamination.index import NgramIndex
from gptkit.contamination.index_builder import build_index
from gptkit.contamination.lookup import look_up
from gptkit.errors import ConfigError
from tests.contamination.corpus import as_parts, random_documents, slow_longest_match, slow_ngrams, slow_words


def index_of(folder: Path, documents: list[str], n: list[int], **options: int) -> NgramIndex:
    return build_index(folder, as_parts(documents), n=n, description={"components": ["data"]}, **options)


@pytest.mark.parametrize("bits", [1, 5, 64])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_lookup_agrees_with_the_slow_version(tmp_path: Path, n: int, bits: int) -> None:
    documents = random_documents(n, documents=20 if bits == 1 else 40)  # with one bit, every word is compared with half of the text
    index = index_of(tmp_path / "index", documents, [n], bits=bits, run_entries=64, merged_entries=50)
    ngrams = [set(slow_ngrams(document, n)) for document in documents]
    dirty = 0
    for text in [*random_documents(100, documents=60, longest=14), *documents[:10]]:
        overlap = look_up(index, text, n, max_documents=1000)
        own = slow_ngrams(text, n)
        assert overlap.words == len(slow_words(text))
        assert overlap.ngrams == len(own)
        assert overlap.matched == sum(any(each in inside for inside in ngrams) for each in own)
        expected = {number: sum(each in inside for each in own) for number, inside in enumerate(ngrams) if set(own) & inside}
        assert {match.document.number: match.ngrams for match in overlap.documents} == expected
        assert [match.ngrams for match in overlap.documents] == sorted(expected.values(), reverse=True)
        assert overlap.status == ("undecided" if not own else "dirty" if expected else "clean")
        assert (overlap.longest.words if overlap.longest else 0) == slow_longest_match(text, documents, n)
        if overlap.longest is not None:
            begin, words = overlap.longest.begin, overlap.longest.words
            assert overlap.longest.text.split() == slow_words(text)[begin : begin + words]
            assert overlap.longest.text in " ".join(slow_words(documents[overlap.longest.document.number]))
        dirty += overlap.status == "dirty"
    assert dirty > 10


def test_no_ngram_crosses_the_border_of_documents(tmp_path: Path) -> None:
    index = index_of(tmp_path / "index", ["one two three four", "five six seven eight"], [3])
    assert look_up(index, "three four five six", 3).status == "clean"
    assert look_up(index, "two three four five", 3).matched == 1


def test_part_of_a_word_does_not_match(tmp_path: Path) -> None:
    index = index_of(tmp_path / "index", ["one two threefold", "some one two three"], [3], bits=1)
    assert look_up(index, "one two three", 3).documents[0].document.number == 1
    assert look_up(index, "me one two", 3).status == "clean"
    assert look_up(index, "one two threef", 3).status == "clean"


def test_a_text_of_fewer_than_n_words_is_undecided(tmp_path: Path) -> None:
    index = index_of(tmp_path / "index", ["one two three four"], [3])
    overlap = look_up(index, "one, two!", 3)
    assert (overlap.status, overlap.share, overlap.documents, overlap.longest) == ("undecided", None, (), None)


def test_an_ngram_of_many_documents_names_some_and_counts_the_others(tmp_path: Path) -> None:
    index = index_of(tmp_path / "index", ["a common phrase"] * 30, [3])
    overlap = look_up(index, "A common phrase.", 3)
    assert [match.document.number for match in overlap.documents] == list(range(10))
    assert overlap.document_count == 30


def test_only_the_first_occurrences_of_a_very_frequent_ngram_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = ["a common phrase"] * 30
    index = index_of(tmp_path / "index", documents, [3])
    monkeypatch.setattr("gptkit.contamination.lookup.MAX_OCCURRENCES", 7)
    assert look_up(index, "a common phrase", 3).document_count == 7
    colliding = index_of(tmp_path / "colliding", ["another common phrase"] * 30 + ["a common phrase"], [3], bits=1)
    both = [look_up(colliding, text, 3).document_count for text in ("a common phrase", "another common phrase", "no common phrase")]
    assert both == [1, 7, 0]


def test_characters_that_are_not_text_are_never_found(tmp_path: Path) -> None:
    index = index_of(tmp_path / "index", ["one two three"], [3])
    assert look_up(index, "one two \ud800", 3).status == "clean"


def test_an_index_has_only_the_ngrams_it_was_built_with(tmp_path: Path) -> None:
    index = index_of(tmp_path / "index", ["one two three four"], [2, 3])
    with pytest.raises(ConfigError, match=r"has no 8-grams, only N = 2 and 3; build an index with n=8$"):
        look_up(index, "one", 8)


def test_planted_passages_are_found(tmp_path: Path) -> None:
    documents = [f"{' '.join(f'w{number * 31 % 977}x{k * k % 101}' for k in range(300))}" for number in range(50)]
    index = index_of(tmp_path / "index", documents, [8, 13])
    planted = index.content["planted"]
    assert planted["8"]["passages"] == 1000
    assert planted["8"]["exact"] == planted["13"]["exact"] == 1
    assert planted["8"]["replaced"] >= 0.9
    assert planted["13"]["replaced"] < planted["8"]["replaced"]
