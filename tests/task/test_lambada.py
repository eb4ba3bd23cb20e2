"""LAMBADA: accuracy of greedy decoding and perplexity of the last word, and answerers whose score is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.evaluation.runner import evaluate
from gptkit.model.base import Model
from gptkit.task import LambadaConfig
from gptkit.task.comparison import Subject
from gptkit.task.requests import LogLikelihood, LogLikelihoodAnswer
from gptkit.tokenizer.bpe import BPETokenizer
from tests.small_models import Bigrams
from tests.task.conftest import metrics_of, metrics_of_answers

Questions = Callable[..., dict[str, Any]]
ROWS = [{"context": "from sea to sea", "continuation": "sea"}, {"text": "from sea to sea land"}]


def test_word_follows_the_passage_after_a_space(questions: Questions) -> None:
    items = LambadaConfig(data=questions(*ROWS, name="cloze")).build().items()
    assert [item.requests for item in items] == [
        (LogLikelihood("from sea to sea", " sea"),),
        (LogLikelihood("from sea to sea", " land"),),
    ]


def test_examples_in_context_are_blanks_to_fill_in(questions: Questions) -> None:
    task = LambadaConfig(data=questions(*ROWS, name="cloze"), fill_in=True).build()
    (request,) = FewShotTask(task, task.pool(), k=1).items()[0].requests
    blank = "Fill in blank:\n\nfrom sea to sea ___. ->"
    assert request == LogLikelihood(f"{blank} land\n\n{blank}", " sea")


def test_greedy_words_are_right_and_perplexity_is_per_word(questions: Questions) -> None:
    config = LambadaConfig(data=questions(*ROWS, name="cloze"))
    metrics = metrics_of(config, " sea sea sea sea")
    assert metrics["accuracy"] == 0.5
    task = config.build()
    answers = [LogLikelihoodAnswer(values, False) for values in ((-1.0, -2.0), (-5.0,))]
    rows = [task.score(item, [answer]) for item, answer in zip(task.items(), answers, strict=True)]
    metrics = task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})
    expected = {"accuracy": 0.0, "accuracy_without_stop_words": 0.0, "perplexity": pytest.approx(math.exp(4))}
    assert metrics == expected


def test_oracle_and_wrong_answers_score_what_they_must(questions: Questions) -> None:
    task = LambadaConfig(data=questions(*ROWS, name="cloze")).build()
    oracle, wrong = metrics_of_answers(task, lambda item: 0), metrics_of_answers(task, lambda item: -1)
    assert oracle["accuracy"] == oracle["perplexity"] == 1.0
    assert wrong["accuracy"] == task.chance()["accuracy"] == 0.0
    assert wrong["perplexity"] == pytest.approx(math.exp(50))


TEXT = "the cat and the dog sat with the mat there. "


def test_stop_words_cannot_be_predicted(questions: Questions) -> None:
    """A model that repeats the text predicts "the" where the word is "mat", and "mat" without stop words."""
    tokenizer = BPETokenizer.train([TEXT * 20], size=300)
    words = {word: tokenizer.encode(f" {word}") for word in ("the", "mat", "dog")}
    assert all(len(ids) == 1 for ids in words.values())

    class Fixed(Bigrams):
        """Predicts " the", then " mat", whatever it reads."""

        vocabulary = tokenizer.size

        def __init__(self) -> None:
            nn.Module.__init__(self)
            row = torch.zeros(self.vocabulary)
            row[words["the"]], row[words["mat"]] = 3.0, 2.0
            self.table = nn.Parameter(row.repeat(self.vocabulary, 1))

    rows = [{"text": f"the cat sat with {word}"} for word in ("the", "mat", "dog")]
    task = LambadaConfig(data=questions(*rows, name="cloze")).build()
    metrics = evaluate(task, Subject(cast(Model, Fixed()), tokenizer)).metrics
    assert (metrics["accuracy"], metrics["accuracy_without_stop_words"]) == (1 / 3, 1 / 3)
    task = LambadaConfig(data=questions(rows[1], name="cloze")).build()
    metrics = evaluate(task, Subject(cast(Model, Fixed()), tokenizer)).metrics
    assert (metrics["accuracy"], metrics["accuracy_without_stop_words"]) == (0.0, 1.0)


def test_passages_can_be_detokenized(questions: Questions) -> None:
    row = {"text": "`` i do n't know , '' he said to the dog"}
    (item,) = LambadaConfig(data=questions(row, name="cloze"), detokenizer="lambada").build().items()
    assert item.requests == (LogLikelihood('"i don\'t know," he said to the', " dog"),)
