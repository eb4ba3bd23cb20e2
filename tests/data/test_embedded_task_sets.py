"""The sets that are built from embedded texts: one for each family of tasks."""

from __future__ import annotations

from collections import Counter

import pytest

from gptkit.data import CountryFactsConfig, CountryPairsConfig, DataConfig, SotuConfig, StoryCompletionConfig
from gptkit.data.sources.story_completion import passages
from gptkit.records import Document, Example

SETS: list[type[DataConfig]] = [StoryCompletionConfig, CountryFactsConfig, CountryPairsConfig]


def records(data: DataConfig, split: str) -> list[Example]:
    return list(data.build().records(split))  # type: ignore[arg-type]


@pytest.mark.parametrize("part", SETS)
def test_sets_are_the_same_every_time_and_hold_every_example_once(part: type[DataConfig]) -> None:
    built = part().build()
    assert built.splits == ("train", "validation", "test")
    assert built.fingerprint == part().build().fingerprint
    found = {split: records(part(), split) for split in built.splits}
    assert found["test"] == list(built.records("test"))
    together = [example for examples in found.values() for example in examples]
    assert len(set(together)) == len(together) > 2_000
    learned = {example.text for example in found["train"]}
    assert not any(example.text in learned for example in found["validation"] + found["test"])


def test_passages_are_sentences_and_the_next_one() -> None:
    speech = (
        'FOREIGN RELATIONS\n\nMr. Adams came to the U.S. Senate. He said to all: "We are at peace." It was a long summer.\n'
        "And then it rained for weeks.\nNo.\nIt did not end there, sadly. What came next is not known."
    )
    assert list(passages(speech, sentences=1)) == [
        ("Mr. Adams came to the U.S. Senate.", 'He said to all: "We are at peace."'),
        ("It was a long summer.", "And then it rained for weeks."),
        ("It did not end there, sadly.", "What came next is not known."),
    ]
    assert [ending for _, ending in passages(speech, sentences=3)] == ["And then it rained for weeks."]


def test_stories_go_on_as_their_speech_does() -> None:
    """The right ending stands in the speech of the passage, right after it; the other one in another speech."""
    documents = [record for record in SotuConfig().build().records("train") if isinstance(record, Document)]
    speeches = [" ".join(document.text.split()) for document in documents]
    examples = records(StoryCompletionConfig(), "test")
    for example in examples[::97]:
        assert isinstance(example.label, int) and len(example.options) == 2
        right, wrong = example.options[example.label], example.options[1 - example.label]
        (home,) = [speech for speech in speeches if example.text in speech]
        assert f"{example.text} {right}" in home and wrong not in home
        assert any(wrong in speech for speech in speeches)
    assert 0.45 < sum(example.label == 0 for example in examples) / len(examples) < 0.55


def test_statements_follow_contradict_or_leave_open() -> None:
    examples = records(CountryFactsConfig(), "train")
    assert len(set(Counter(example.label for example in examples).values())) == 1
    found = {(example.text.split(".")[0], example.label, example.pair) for example in examples}
    assert ("This is about Albania", "entailment", "Tirana is the capital of Albania.") in found
    for example in examples:
        assert example.pair is not None
        value = example.pair.split(" is ")[0]
        if example.pair.endswith(("capital of Albania.", "currency of Albania.")):
            assert (value in example.text) == (example.label == "entailment")


def test_pairs_are_scored_by_what_they_share() -> None:
    examples = records(CountryPairsConfig(), "train")
    assert {example.label for example in examples} == {0.0, 1.0, 2.0, 3.0, 4.0}
    for example in examples[:200]:
        assert example.pair is not None
        first, second = (
            text.partition(" lies in ")[2].rstrip(".").replace(" It pays in ", " ") for text in (example.text, example.pair)
        )
        shared = sum(a == b for a, b in zip(_statements(first), _statements(second), strict=True))
        assert example.label == shared


def _statements(text: str) -> list[str]:
    """The subregion, the region, the currency and the language of a description without its country."""
    places, _, rest = text.partition(". ")
    subregion, _, region = places.partition(", a part of ")
    currency, _, language = rest.partition(", and the code of its first language is ")
    return [subregion, region, currency, language]
