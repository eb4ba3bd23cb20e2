"""LAMBADA: accuracy of greedy decoding and perplexity of the last word, and answerers whose score is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gptkit.task import LambadaConfig
from gptkit.task.requests import LogLikelihood, LogLikelihoodAnswer
from tests.task.conftest import metrics_of, metrics_of_answers

Questions = Callable[..., dict[str, Any]]
ROWS = [{"context": "from sea to sea", "continuation": "sea"}, {"text": "from sea to sea land"}]


def test_word_follows_the_passage_after_a_space(questions: Questions) -> None:
    items = LambadaConfig(data=questions(*ROWS, name="cloze")).build().items()
    assert [item.requests for item in items] == [
        (LogLikelihood("from sea to sea", " sea"),),
        (LogLikelihood("from sea to sea", " land"),),
    ]


def test_greedy_words_are_right_and_perplexity_is_per_word(questions: Questions) -> None:
    config = LambadaConfig(data=questions(*ROWS, name="cloze"))
    metrics = metrics_of(config, " sea sea sea sea")
    assert metrics["accuracy"] == 0.5
    task = config.build()
    answers = [LogLikelihoodAnswer(values, False) for values in ((-1.0, -2.0), (-5.0,))]
    rows = [task.score(item, [answer]) for item, answer in zip(task.items(), answers, strict=True)]
    metrics = task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})
    assert metrics == {"accuracy": 0.0, "perplexity": pytest.approx(math.exp(4))}


def test_oracle_and_wrong_answers_score_what_they_must(questions: Questions) -> None:
    task = LambadaConfig(data=questions(*ROWS, name="cloze")).build()
    assert metrics_of_answers(task, lambda item: 0) == {"accuracy": 1.0, "perplexity": 1.0}
    assert metrics_of_answers(task, lambda item: -1) == {"accuracy": 0.0, "perplexity": pytest.approx(math.exp(50))}
