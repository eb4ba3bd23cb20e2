"""LAMBADA: predict the last word of a passage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptkit.records import Example
from gptkit.task.base import Columns, Item
from gptkit.task.detokenizers import DETOKENIZERS
from gptkit.task.example_task import ExampleTask, log_likelihoods
from gptkit.task.requests import Answer, LogLikelihood
from gptkit.task.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import LambadaConfig


class Lambada(ExampleTask):
    """An item has three scores.

    `accuracy` is 1 if greedy decoding generates the word, `accuracy_without_stop_words` is 1 if it does when no stop word can be
    the first token, and `log_prob` is the log-probability of the word in nats.
    """

    excluded_words = STOP_WORDS

    def __init__(self, settings: LambadaConfig, data: Data) -> None:
        self._detokenizer = DETOKENIZERS[settings.detokenizer]
        self._is_fill_in = settings.fill_in
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        context = self._detokenizer.detokenize(example.text)
        if self._is_fill_in:
            context = f"Fill in blank:\n\n{context} ___. ->"
        return Item((LogLikelihood(context, f" {str(example.label).lstrip()}"),), example.label, example.where)

    def solution(self, item: Item) -> str | None:
        (request,) = item.requests
        return request.context + request.continuation if isinstance(request, LogLikelihood) else None

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = log_likelihoods(answers)
        return {
            "accuracy": float(answer.is_greedy),
            "accuracy_without_stop_words": float(bool(answer.is_greedy_filtered)),
            "log_prob": answer.total,
        }

    def metrics(self, scores: Columns) -> dict[str, float]:
        accuracies = {name: float(values.mean()) for name, values in scores.items() if name.startswith("accuracy")}
        return accuracies | {"perplexity": exponential(-float(scores["log_prob"].mean()))}

    def chance(self) -> dict[str, float]:
        return {"accuracy": 0.0}  # any word may follow


def exponential(nats: float) -> float:
    """Return e to the power of `nats`; infinity if it is too large for a float."""
    return math.exp(nats) if nats < 700 else math.inf
