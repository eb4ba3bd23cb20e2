"""The embedded datasets for multiple choice, entailment and similarity."""

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
def test_embedded_sets_are_deterministic_and_splits_share_no_example(part: type[DataConfig]) -> None:
    built = part().build()
    assert built.splits == ("train", "validation", "test")
    assert built.fingerprint == part().build().fingerprint
    examples = {split: records(part(), split) for split in built.splits}
    assert examples["test"] == list(built.records("test"))
    all_examples = [example for of_split in examples.values() for example in of_split]
    assert len(set(all_examples)) == len(all_examples) > 2_000
    training_texts = {example.text for example in examples["train"]}
    assert not any(example.text in training_texts for example in examples["validation"] + examples["test"])


def test_passages_consist_of_sentences_and_the_next_sentence() -> None:
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


def test_right_ending_follows_the_passage_in_its_speech() -> None:
    """The other ending is from another speech."""
    documents = [record for record in SotuConfig().build().records("train") if isinstance(record, Document)]
    speeches = [" ".join(document.text.split()) for document in documents]
    examples = records(StoryCompletionConfig(), "test")
    for example in examples[::97]:
        assert isinstance(example.label, int) and len(example.options) == 2
        right, wrong = example.options[example.label], example.options[1 - example.label]
        (own_speech,) = [speech for speech in speeches if example.text in speech]
        assert f"{example.text} {right}" in own_speech and wrong not in own_speech
        assert any(wrong in speech for speech in speeches)
    assert 0.45 < sum(example.label == 0 for example in examples) / len(examples) < 0.55


def test_labels_of_country_facts_agree_with_the_premise() -> None:
    examples = records(CountryFactsConfig(), "train")
    assert len(set(Counter(example.label for example in examples).values())) == 1
    statements = {(example.text.split(".")[0], example.label, example.pair) for example in examples}
    assert ("This is about Albania", "entailment", "Tirana is the capital of Albania.") in statements
    for example in examples:
        assert example.pair is not None
        value = example.pair.split(" is ")[0]
        if example.pair.endswith(("capital of Albania.", "currency of Albania.")):
            assert (value in example.text) == (example.label == "entailment")


def test_score_of_a_country_pair_counts_equal_statements() -> None:
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
    """Return the subregion, region, currency and language of a description without the name of its country."""
    places, _, rest = text.partition(". ")
    subregion, _, region = places.partition(", a part of ")
    currency, _, language = rest.partition(", and the code of its first language is ")
    return [subregion, region, currency, language]
