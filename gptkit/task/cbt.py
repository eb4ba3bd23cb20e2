"""The Children's Book Test: which candidate does a sentence of a story lack?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptkit.data.sources.childrens_book_test import PLACEHOLDER
from gptkit.errors import DataError
from gptkit.records import Example
from gptkit.task.base import Item
from gptkit.task.detokenizers import DETOKENIZERS
from gptkit.task.example_task import OptionTask, log_likelihoods
from gptkit.task.requests import Answer, LogLikelihood

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import CBTConfig


class CBT(OptionTask):
    """Each request has the story and the sentence up to the candidate as its context. The candidate and the rest are scored.

    The context ends where the texts of the candidates begin to differ, at a space, so that the sentence can be de-tokenized as a
    whole.
    """

    def __init__(self, settings: CBTConfig, data: Data) -> None:
        self._detokenize = DETOKENIZERS[settings.detokenizer].detokenize
        super().__init__(settings, data)

    def check(self, example: Example) -> None:
        super().check(example)
        if PLACEHOLDER not in (example.pair or ""):
            raise DataError(f"task={self.name} reads stories and queries with {PLACEHOLDER}; choose data=childrens_book_test")

    def item(self, example: Example) -> Item:
        assert example.pair is not None
        story = self._detokenize(example.text).replace("\n", " ")
        texts = [f"{story} {self._detokenize(example.pair.replace(PLACEHOLDER, option))}" for option in example.options]
        lowest, highest = min(texts), max(texts)  # all texts share what these two share
        shared = next((place for place, pair in enumerate(zip(lowest, highest, strict=False)) if pair[0] != pair[1]), len(lowest))
        cut = lowest.rindex(" ", 0, shared)
        return Item(tuple(LogLikelihood(text[:cut], text[cut:]) for text in texts), example.label, example.where)

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        return [answer.total for answer in log_likelihoods(answers)]
