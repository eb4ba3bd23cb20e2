"""The datasets for language modelling: streams, windows and segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gptkit.data import TextConfig
from gptkit.data.base import Data
from gptkit.data.tokens.shards import Shards
from gptkit.data.tokens.token_stream import TokenStream
from gptkit.data.windows import ShiftingWindowDataset, WindowDataset, language_model_datasets, segments
from gptkit.errors import DataError
from gptkit.records import Document
from gptkit.tokenizer.bytes import BytesTokenizer
from gptkit.tokenizer.char import CharTokenizer


class Documents(Data):
    """A source with a list of texts per split."""

    def __init__(self, **texts: list[str]) -> None:
        self.splits, self._texts = tuple(texts), texts
        self.fingerprint = str(sorted(texts.items()))

    def records(self, split: str) -> Iterator[Document]:
        return map(Document, self._texts[split])


def stream_of(tokens: int, *, part: int = 1 << 20, ranges: list[tuple[int, int]] | None = None) -> TokenStream:
    """Return a stream of the tokens 0, 1, 2 ... in files of `part` tokens."""
    ids = np.arange(tokens, dtype=np.uint16)
    shards = Shards([ids[begin : begin + part] for begin in range(0, tokens, part)], np.array([tokens]))
    return TokenStream([(shards, [(0, tokens)] if ranges is None else ranges)])


@pytest.mark.parametrize("part", [7, 64, 100, 1000])
@pytest.mark.parametrize("ranges", [[(0, 500)], [(3, 250)], [(0, 10), (11, 12), (20, 300), (301, 499)]])
def test_streams_read_across_files_ranges_and_the_end(part: int, ranges: list[tuple[int, int]]) -> None:
    stream = stream_of(500, part=part, ranges=ranges)
    flat = [token for begin, end in ranges for token in range(begin, end)]
    assert len(stream) == len(flat)
    generator = np.random.default_rng(0)
    for length in (1, 2, 9, 65, 600):
        starts = generator.integers(len(flat), size=40)
        expected = [[flat[(start + step) % len(flat)] for step in range(length)] for start in starts]
        read = stream.read(starts, length)
        assert read.dtype == np.int64 and read.tolist() == expected


@pytest.mark.parametrize(("tokens", "context"), [(101, 10), (100, 10), (11, 10), (1000, 64), (65, 64)])
def test_validation_windows_are_adjacent_from_the_start(tokens: int, context: int) -> None:
    windows = WindowDataset(stream_of(tokens), context=context)
    batch = windows.batch(range(len(windows)))
    predicted = batch["targets"].flatten().tolist()
    assert predicted == list(range(1, len(windows) * context + 1))
    assert batch["tokens"].flatten().tolist() == [token - 1 for token in predicted]
    assert tokens - 1 - len(predicted) < context
    assert torch.equal(windows.batch([len(windows) * 7])["tokens"], windows.batch([0])["tokens"])


@pytest.mark.parametrize(("tokens", "context"), [(101, 10), (100, 10), (11, 10), (1000, 64), (65, 64)])
def test_training_windows_predict_every_token_once_per_epoch(tokens: int, context: int) -> None:
    windows = ShiftingWindowDataset(stream_of(tokens, part=37), context=context)
    begins = set()
    for epoch in range(8):
        batch = windows.batch([epoch * len(windows) + item for item in range(len(windows))])
        assert torch.equal((batch["tokens"] + 1) % tokens, batch["targets"])
        predicted = batch["targets"].flatten().tolist()
        assert len(set(predicted)) == len(predicted) == len(windows) * context
        assert tokens - len(predicted) < context
        begins.add(int(batch["tokens"][0, 0]))
    assert len(begins) > 4
    assert torch.equal(windows.batch([3, 1])["tokens"][1], windows.batch([1])["tokens"][0])


def test_epoch_determines_the_offset_of_windows() -> None:
    one, same = (ShiftingWindowDataset(stream_of(5000), context=64) for _ in range(2))
    items = list(range(0, 10 * len(one), 13))
    assert torch.equal(one.batch(items)["tokens"], same.batch(items)["tokens"])
    assert not torch.equal(one.batch([0])["tokens"], one.batch([len(one)])["tokens"])


def test_segments_number_the_documents_of_a_row() -> None:
    tokens = np.array([[5, 9, 9, 5, 5], [9, 5, 5, 5, 9], [1, 2, 3, 4, 5]])
    assert segments(tokens, 9).tolist() == [[0, 0, 1, 2, 2], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]]


def test_batches_have_segments_if_documents_are_separate() -> None:
    data = Documents(train=["abc", "de"] * 50)
    for separate in (False, True):
        datasets = language_model_datasets(data, BytesTokenizer(), context=12, validation_fraction=0.1, separate_documents=separate)
        for dataset in datasets.values():
            batch = dataset.batch([0, 1])
            assert set(batch) == {"tokens", "targets", *(["segments"] if separate else [])}
            assert all(value.shape == (2, 12) and value.dtype == torch.int64 and value.is_contiguous() for value in batch.values())
            if separate:
                assert batch["segments"].tolist() == segments(batch["tokens"].numpy(), 256).tolist()


def test_last_tenth_of_a_single_text_is_for_validation(tmp_path: Path) -> None:
    text = "".join(chr(97 + number * number % 26) for number in range(12_345))
    (tmp_path / "a.txt").write_text(text)
    data = TextConfig(path=str(tmp_path / "a.txt")).build()
    tokenizer = CharTokenizer.train(data.texts())
    validation = language_model_datasets(data, tokenizer, context=64, validation_fraction=0.1)["validation"]
    batch = validation.batch(range(len(validation)))
    expected = text[int(0.9 * len(text)) :]
    assert tokenizer.decode(batch["tokens"].flatten().tolist()) == expected[: len(validation) * 64]
    assert tokenizer.decode(batch["targets"].flatten().tolist()) == expected[1 : len(validation) * 64 + 1]


def test_held_out_documents_are_not_trained_on() -> None:
    data = Documents(train=[chr(33 + number) * 20 for number in range(80)])
    datasets = language_model_datasets(data, BytesTokenizer(), context=16, validation_fraction=0.1)
    tokens = {
        split: set(dataset.batch(range(3 * len(dataset)))["tokens"].flatten().tolist()) for split, dataset in datasets.items()
    }
    assert tokens["train"] & tokens["validation"] <= {256}
    assert len(tokens["train"] | tokens["validation"]) == 81


def test_validation_split_of_a_source_is_used() -> None:
    data = Documents(train=["a" * 100], validation=["b" * 50])
    for fraction in (0.0, 0.5):
        datasets = language_model_datasets(data, BytesTokenizer(), context=7, validation_fraction=fraction)
        assert datasets["train"].batch(range(14))["tokens"].unique().tolist() == [97, 256]
        assert datasets["validation"].batch(range(7))["tokens"].unique().tolist() == [98]


def test_fraction_zero_holds_out_nothing() -> None:
    assert set(language_model_datasets(Documents(train=["a" * 100]), BytesTokenizer(), context=7, validation_fraction=0.0)) == {
        "train"
    }


def test_text_shorter_than_one_context_is_an_error() -> None:
    data = Documents(train=["a" * 99])
    language_model_datasets(data, BytesTokenizer(), context=99, validation_fraction=0.0)
    with pytest.raises(DataError, match=r"the training text has 100 tokens, but one sequence of model\.context=100 needs 101"):
        language_model_datasets(data, BytesTokenizer(), context=100, validation_fraction=0.0)
    with pytest.raises(DataError, match=r"the validation text has 10 tokens, .*model\.context=10 needs 11; .*val\.fraction=0"):
        language_model_datasets(data, BytesTokenizer(), context=10, validation_fraction=0.1)
