"""The documents of the index are those that the run trains on, by records or by token shards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest

from gptkit.contamination.training_documents import TrainingSource, component_keys, training_documents
from gptkit.data.base import Data
from gptkit.data.sources.mixture import Mixture
from gptkit.data.splits import split_records
from gptkit.data.windows import token_streams
from gptkit.tokenizer import BytesTokenizerConfig
from tests.data.documents import Documents


def texts_of(source: TrainingSource) -> list[str]:
    parts = training_documents([source])
    return ["".join(part.text for part in group) for _, group in groupby(parts, lambda part: (part.component, part.number))]


def documents(count: int, prefix: str = "", *, empty: Sequence[int] = ()) -> list[str]:
    return ["" if number in empty else f"{prefix}{number} " + "word " * (number * 7 % 11) for number in range(count)]


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.3])
def test_records_are_split_as_objectives_split_them(fraction: float) -> None:
    data = Mixture({"a": Documents(documents(50), "a"), "b": Documents(documents(7, "b"), "b")})
    train, _ = split_records(data, fraction, lambda source, split: source.records(split))
    assert texts_of(TrainingSource("data", data, fraction)) == [record.text for record in train]  # type: ignore[union-attr]


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(
    "data",
    [
        Documents(documents(60), "many documents"),
        Documents(documents(60, empty=(0, 7, 59)), "empty documents"),
        Documents(documents(2), "long documents"),
        Documents(["é and ü, one document " * 20], "one document"),
        Mixture({"a": Documents(documents(50), "a1"), "b": Documents(["one document " * 30], "b1")}),
    ],
    ids=["many", "empty", "two", "one", "mixture"],
)
def test_tokens_are_split_as_language_modelling_splits_them(data: Data, fraction: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.contamination.training_documents.DECODED_TOKENS", 16)
    tokenizer = BytesTokenizerConfig().build(texts=[])
    stream, _ = token_streams(data, tokenizer, validation_fraction=fraction)
    tokens = stream.read(np.zeros(1, dtype=np.int64), len(stream))[0].tolist()
    end = tokenizer.special["end_of_text"]
    expected = tokenizer.decode([token for token in tokens if token != end])
    parts = list(training_documents([TrainingSource("data", data, fraction, tokenizer)]))
    assert "".join(part.text for part in parts).rstrip("�") == expected.rstrip("�")
    ranges = dict.fromkeys((part.component, part.tokens) for part in parts)
    assert sum(stop - start for _, (start, stop) in ranges) == len(stream)


def test_a_validation_split_is_not_in_the_index() -> None:
    class Split(Documents):
        splits = ("train", "validation")

    assert texts_of(TrainingSource("data", Split(documents(20)), 0.3)) == documents(20)


def test_components_are_named_by_their_keys() -> None:
    mixture = Mixture({"a": Documents(["x"]), "b": Documents(["y"])})
    sources = [TrainingSource("data", mixture, 0.0), TrainingSource("runs/b: data", Documents(["z"]), 0.0)]
    assert component_keys(sources) == ["data.sources.a", "data.sources.b", "runs/b: data"]
    assert [(part.component, part.number, part.text) for part in training_documents(sources)] == [
        (0, 0, "x"),
        (1, 0, "y"),
        (2, 0, "z"),
    ]
