"""LAMBADA: predict the last word of a passage."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gptkit.records import Example
from gptkit.task.base import Columns, Item
from gptkit.task.example_task import ExampleTask, log_likelihoods
from gptkit.task.requests import Answer, LogLikelihood


class Lambada(ExampleTask):
    """An item has the scores `accuracy` (1 if greedy decoding generates the word) and `log_prob` (of the word, in nats)."""

    def item(self, example: Example) -> Item:
        return Item((LogLikelihood(example.text, f" {str(example.label).lstrip()}"),), example.label, example.where)

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = log_likelihoods(answers)
        return {"accuracy": float(answer.is_greedy), "log_prob": answer.total}

    def metrics(self, scores: Columns) -> dict[str, float]:
        log_prob = float(scores["log_prob"].mean())
        return {"accuracy": float(scores["accuracy"].mean()), "perplexity": exponential(-log_prob)}

    def chance(self) -> dict[str, float]:
        return {"accuracy": 0.0}  # any word may follow


def exponential(nats: float) -> float:
    """Return e to the power of `nats`; infinity if it is too large for a float."""
    return math.exp(nats) if nats < 700 else math.inf
