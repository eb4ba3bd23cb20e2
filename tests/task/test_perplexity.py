"""Perplexity per unit equals a slow computation, for every stride, and de-tokenizers undo tokenization."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gptkit.errors import DataError
from gptkit.evaluation.runner import evaluate
from gptkit.task import PerplexityConfig
from gptkit.task.comparison import Subject
from gptkit.task.detokenizers import detokenize_wikitext
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
        10 + 3 + 1,  # the first document ends with white space, which counts as one more word
    )
    assert metrics["token_perplexity"] == pytest.approx(math.exp(nats / size), rel=1e-5)  # a token is a byte
    assert metrics["byte_perplexity"] == pytest.approx(math.exp(nats / size), rel=1e-5)
    assert metrics["word_perplexity"] == pytest.approx(math.exp(nats / words), rel=1e-4)
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
    assert item.requests == (RollingLogLikelihood("It had 2,000 readers ."),)
    assert item.target == {"words": 7, "characters": 26, "bytes": 26}


@pytest.mark.parametrize(
    ("tokenized", "expected"),
    [
        ("about 2 @,@ 000 well @-@ known people , at 1 @.@ 5 m . \n", "about 2,000 well-known people, at 1.5 m.\n"),
        ("the king ( born 1800 ) said [ sic ] : no", "the king (born 1800) said [sic]: no"),
        ('he said " hello there " and left', 'he said "hello there" and left'),
        (" \n = = History = = \n The town 's hall", "\n== History ==\nThe town's hall"),
        ("20 ° C", "20°C"),
    ],
)
def test_wikitext_is_joined(tokenized: str, expected: str) -> None:
    assert detokenize_wikitext(tokenized) == expected


def test_source_without_text_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        config(tmp_path, "  \n").build()
