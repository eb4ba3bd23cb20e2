"""GPT-1's zero-shot heuristics as tasks, except multiple choice (`gptkit.task.choice`).

Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Zero-shot Behaviors".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gptkit.errors import DataError
from gptkit.records import Example
from gptkit.task.base import Columns, Item, Options
from gptkit.task.example_task import ExampleTask, OptionTask, log_likelihoods, subsample
from gptkit.task.matthews import best_threshold, matthews
from gptkit.task.requests import Answer, LogLikelihood

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import AcceptabilityConfig, NextWordConfig, ReferentConfig


class NextWord(OptionTask):
    """SST-2: append "very" to the text, then compare P(positive) with P(negative)."""

    def __init__(self, settings: NextWordConfig, data: Data) -> None:
        self.suffix, self.words = settings.suffix, dict(settings.words)
        super().__init__(settings, data)
        if not settings.words:
            self.words = {label: f" {label}" for label in sorted({str(example.label) for example in self.examples})}
        self.labels = list(self.words)

    def item(self, example: Example) -> Item:
        context = example.text + self.suffix
        requests = tuple(LogLikelihood(context, word) for word in self.words.values())
        return Item(requests, self.labels.index(str(example.label)), example.where)

    def options(self, item: Item) -> Options:
        options = super().options(item)
        return replace(options, classes=tuple(self.labels), text=options.texts[0].context)

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        return [answer.total for answer in log_likelihoods(answers)]

    def check(self, example: Example) -> None:
        if self.words and str(example.label) not in self.words:
            raise DataError(f"task={self.name}: an example has the label {example.label}, but words has {', '.join(self.words)}")

    def chance(self) -> dict[str, float]:
        return {"accuracy": 1 / len(self.labels)}


class Referent(OptionTask):
    """Winograd: substitute each option for the pronoun, and score the rest of the sentence, or all of it."""

    def __init__(self, settings: ReferentConfig, data: Data) -> None:
        self.blank, self.is_full = settings.blank, settings.scoring == "full"
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        start, rest = example.text.split(self.blank)
        pairs = [("", start + option + rest) if self.is_full else (start + option, rest) for option in example.options]
        return Item(tuple(LogLikelihood(*pair) for pair in pairs), example.label, example.where)

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        return [answer.total if self.is_full else answer.mean for answer in log_likelihoods(answers)]

    def check(self, example: Example) -> None:
        super().check(example)
        _, blank, rest = example.text.partition(self.blank)
        if not blank or self.blank in rest or not rest.strip():
            raise DataError(
                f"task={self.name}: {example.text[:60]!r} must contain {self.blank} once, for the options, followed by words"
            )


class Acceptability(ExampleTask):
    """CoLA: accept a sentence if its mean log-probability reaches a threshold.

    The examples from which the threshold is chosen are items, too: an item has the scores `mean_log_prob`, `acceptable` and
    `calibration`.
    """

    def __init__(self, settings: AcceptabilityConfig, data: Data) -> None:
        self.acceptable, self.threshold = settings.acceptable, settings.threshold
        self._limit = settings.examples
        super().__init__(settings, data)

    def read(self, data: Data, split: str) -> list[Example]:
        examples = super().read(data, split)
        self.calibration: list[Example] = []
        if self.threshold is None:
            if split == "validation":
                self.calibration = subsample(super().read(data, "train"), self._limit)
            else:
                if len(examples) < 2:
                    raise DataError(
                        f"task={self.name}: one example is not enough, since every second example is used to choose the threshold"
                    )
                self.calibration, examples = subsample(examples[::2], self._limit), examples[1::2]
        labels = {str(example.label) for example in (*examples, *self.calibration)}
        if self.acceptable not in labels:
            known = ", ".join(sorted(labels))
            raise DataError(f"task={self.name}: no example has the label acceptable={self.acceptable}; the labels are {known}")
        return examples

    def item(self, example: Example) -> Item:
        return self._item(example, calibration=False)

    def items(self) -> Sequence[Item]:
        return [*(self._item(example, calibration=True) for example in self.calibration), *super().items()]

    def _item(self, example: Example, *, calibration: bool) -> Item:
        target = {"acceptable": str(example.label) == self.acceptable, "calibration": calibration}
        return Item((LogLikelihood("", example.text),), target, example.where)

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = log_likelihoods(answers)
        return {"mean_log_prob": answer.mean} | {name: float(value) for name, value in item.target.items()}

    def metrics(self, scores: Columns) -> dict[str, float]:
        values, acceptable, calibration = scores["mean_log_prob"], scores["acceptable"] > 0, scores["calibration"] > 0
        threshold = self.threshold
        if threshold is None:
            threshold = best_threshold(values[calibration], acceptable[calibration]) if calibration.any() else 0.0
        accepted, acceptable = values[~calibration] >= threshold, acceptable[~calibration]
        accuracy = float(np.mean(accepted == acceptable)) if len(acceptable) else 0.0
        return {"matthews": matthews(accepted, acceptable), "accuracy": accuracy, "threshold": threshold}

    def chance(self) -> dict[str, float]:
        return {"matthews": 0.0}
