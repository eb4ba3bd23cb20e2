"""The base classes of tasks that read labelled examples, and of those that choose one of several options."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gptkit.data.record_checks import labelled_examples
from gptkit.data.splits import evaluation_split, evenly_spaced
from gptkit.errors import ConfigError, DataError
from gptkit.records import Example
from gptkit.task.base import Columns, Item, Options, Task
from gptkit.task.requests import Answer, LogLikelihood, LogLikelihoodAnswer

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import ExampleTaskConfig


class ExampleTask(Task):
    """Reads the validation split of a source of labelled examples, or all examples if it has none."""

    evaluated_splits: ClassVar[tuple[str, ...]] = ("validation",)
    """The splits that are evaluated: the first one that the source has."""

    def __init__(self, settings: ExampleTaskConfig, data: Data) -> None:
        """Raises: DataError: the examples cannot be read, or do not fit the task."""
        self.name = settings.name
        self.boundary, self.prefix = settings.boundary, settings.prefix
        self.reference = settings.reference
        self.split = evaluation_split(data, *self.evaluated_splits)
        self._data = data
        self._all_examples = self.read(data, self.split)
        self.examples = subsample(self._all_examples, settings.examples)
        for example in self.examples:
            self.check(example)
        self._items: list[Item] | None = None

    def read(self, data: Data, split: str) -> list[Example]:
        """Return the examples of a split.

        Raises:
            DataError: the source has no labelled examples.
        """
        return list(labelled_examples(data, split, reader=f"task={self.name}"))

    def check(self, example: Example) -> None:
        """Check an example.

        Raises:
            DataError: the example lacks what the task reads.
        """

    @abstractmethod
    def item(self, example: Example) -> Item:
        """Return the item of an example."""

    def items(self) -> Sequence[Item]:
        """Return one item per example.

        Raises:
            ConfigError: `reference` is the score of random guessing.
        """
        if self._items is None:
            chance = next(iter(self.chance().values()), None)
            if self.reference is not None and self.reference == chance:
                raise ConfigError(
                    f"task={self.name}: reference={self.reference} is the score of random guessing; set a better one, or null"
                )
            self._items = [self.item(example) for example in self.examples]
            self.has_groups = len({item.group for item in self._items}) > 1
        return self._items

    def pool(self) -> Sequence[Item]:
        """Return the items of the training split; if the source has no other split, those of all examples."""
        examples = self._all_examples if self.split == "train" else self.read(self._data, "train")
        for example in examples:
            self.check(example)
        return [self.item(example) for example in examples]

    def aggregate(self, scores: Columns) -> dict[str, float]:
        """Return the metrics. If there is a reference, add the main one, `normalised` as in figure 2 (right) of GPT-1's paper."""
        metrics = self.metrics(scores)
        if self.reference is not None:
            chance = next(iter(self.chance().values()))
            metrics["normalised"] = normalise(next(iter(metrics.values())), chance=chance, reference=self.reference)
        return metrics

    def metrics(self, scores: Columns) -> dict[str, float]:
        """Return the metrics without `normalised`: by default the mean of each score."""
        return super().aggregate(scores)


class OptionTask(ExampleTask):
    """Chooses one of several options by the log-probabilities of their tokens. The metric is accuracy."""

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        return self.score_choice(item, self.choose(item, answers))

    def score_choice(self, item: Item, chosen: int) -> dict[str, float]:
        return {"accuracy": float(chosen == item.target)}

    def choose(self, item: Item, answers: Sequence[Answer]) -> int:
        """Return the number of the chosen option: the first one with the highest score."""
        return first_highest(self.option_scores(item, answers))

    @abstractmethod
    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        """Return the score of each option."""

    def solution(self, item: Item) -> str | None:
        request = item.requests[item.target]
        return request.context + request.continuation if isinstance(request, LogLikelihood) else None

    def options(self, item: Item) -> Options:
        return Options(tuple(request for request in item.requests if isinstance(request, LogLikelihood)), item.target)

    def check(self, example: Example) -> None:
        if not example.options:
            raise DataError(f"task={self.name} reads texts with options, but the examples have none; set data.options")

    def chance(self) -> dict[str, float]:
        return {"accuracy": sum(1 / len(example.options) for example in self.examples) / len(self.examples)}


def log_likelihoods(answers: Sequence[Answer]) -> list[LogLikelihoodAnswer]:
    """Return the answers of a task that asks only for log-likelihoods."""
    return [answer for answer in answers if isinstance(answer, LogLikelihoodAnswer)]


def first_highest(values: Sequence[float]) -> int:
    """Return the index of the highest value; the first one if several are equal."""
    return int(np.argmax(values))


def normalise(score: float, *, chance: float, reference: float) -> float:
    """Normalise a score: random guessing becomes 0, the reference becomes 1."""
    return (score - chance) / (reference - chance)


def subsample(examples: list[Example], limit: int) -> list[Example]:
    """Return at most `limit` examples, evenly spaced; 0: all."""
    return [examples[index] for index in evenly_spaced(len(examples), limit)]
