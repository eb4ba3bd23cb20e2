"""Perplexity per unit equals a slow computation, for every stride, and units are those of the original text."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gptkit.errors import DataError
from gptkit.evaluation.runner import evaluate
from gptkit.task import PerplexityConfig
from gptkit.task.comparison import Subject
from gptkit.task.requests import RollingLogLikelihood
from tests.small_models import END, TOKENIZER, random_model, slow_log_probs

DOCUMENTS = ["Émile read ten books , and then  some .\n", "A short one.", "x" * 70]


def config(folder: Path, *documents: str, **settings: object) -> PerplexityConfig:
    for number, text in enumerate(documents):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return PerplexityConfig(data={"name": "text", "path": str(folder)}, **settings)  # type: ignore[arg-type]


def test_perplexity_with_full_context_equals_the_slow_one(tmp_path: Path) -> None:
    model = random_model()
    nats = -sum(sum(slow_log_probs(model, [END], TOKENIZER.encode(text))) for text in DOCUMENTS)
    metrics = evaluate(config(tmp_path, *DOCUMENTS, stride=1).build(), Subject(model, TOKENIZER)).metrics
    characters, size, words = (
        sum(map(len, DOCUMENTS)),
        sum(len(text.encode()) for text in DOCUMENTS),
        9 + 3 + 1,
    )
    assert metrics["token_perplexity"] == pytest.approx(math.exp(nats / size), rel=1e-5)  # a token is a byte
    assert metrics["byte_perplexity"] == pytest.approx(math.exp(nats / size), rel=1e-5)
    assert metrics["word_perplexity"] == pytest.approx(math.exp(nats / words), rel=1e-4)
    assert metrics["character_perplexity"] == pytest.approx(math.exp(nats / characters), rel=1e-5)
    assert metrics["bits_per_byte"] == pytest.approx(nats / size / math.log(2), rel=1e-5)
    assert metrics["bits_per_character"] == pytest.approx(nats / characters / math.log(2), rel=1e-5)


def test_uniform_model_has_the_perplexity_of_its_vocabulary(tmp_path: Path) -> None:
    model = random_model()
    for parameter in model.parameters():
        parameter.data.zero_()
    for stride in (0, 5):
        metrics = evaluate(config(tmp_path, *DOCUMENTS, stride=stride).build(), Subject(model, TOKENIZER)).metrics
        assert metrics["token_perplexity"] == pytest.approx(TOKENIZER.size, rel=1e-5)


def test_units_are_those_of_the_text_before_detokenization(tmp_path: Path) -> None:
    (item,) = config(tmp_path, "It had 2 @,@ 000 readers .", detokenizer="wikitext").build().items()
    assert item.requests == (RollingLogLikelihood("It had 2,000 readers."),)
    assert item.target == {"words": 7, "characters": 26, "bytes": 26}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, 4),
        ({"words": "words_and_lines"}, 6),
        ({"words": "lm_eval"}, 6),  # the empty texts before the first word and after the last one count
        ({"detokenizer": "wikitext"}, 6),
        ({"detokenizer": "wikitext", "words": "words"}, 4),
    ],
)
def test_words_are_counted_as_stated(tmp_path: Path, settings: dict[str, str], words: int) -> None:
    (item,) = config(tmp_path, " The town 's \n hall \n", **settings).build().items()
    assert item.target["words"] == words


def test_lines_can_be_items(tmp_path: Path) -> None:
    items = config(tmp_path, "One line .\n\nAnother .\n", documents="line", detokenizer="one_billion").build().items()
    assert [item.requests for item in items] == [(RollingLogLikelihood("One line.\n"),), (RollingLogLikelihood("Another.\n"),)]


def test_source_without_text_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        config(tmp_path, "  \n").build()
