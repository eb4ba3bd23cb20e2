"""The base class of tasks. A task turns records into items, and scores the answers; it never sees a model.

`gptkit.evaluation.runner` answers the requests of the items with a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.task.requests import Answer, Generation, GenerationAnswer, LogLikelihood, Request

Columns = Mapping[str, NDArray[np.float64]]
"""The scores of N items: each name with the values of all items, (N,)."""


@dataclass(frozen=True)
class SolvedExample:
    """An example in context."""

    text: str
    """The example as it stands before an item, with the separator after it."""
    question: str
    answer: str


@dataclass(frozen=True)
class Item:
    """One example of a task: what to ask, and what is needed to score the answers."""

    requests: tuple[Request, ...]
    target: Any = None
    """The correct answer as a plain JSON value, such as the number of an option."""
    where: str = ""
    """The location of the record in its file, for messages."""
    group: str = ""
    """Examples in context come from items of the same group."""
    examples: int = 0
    """The number of characters of solved examples at the beginning of its contexts and prompts."""
    solved: tuple[SolvedExample, ...] = ()
    """These examples, of which a chat makes messages and answers; empty if they have no questions of their own."""


@dataclass(frozen=True)
class Options:
    """The options of an item and the right one, from which a classifier or a fine-tuned model can learn."""

    texts: tuple[LogLikelihood, ...]
    """Each option as the continuation of its context."""
    right: int
    """The number of the right option."""
    classes: tuple[str, ...] = ()
    """If all items have the same options, such as labels: their names, otherwise empty."""
    text: str = ""
    """If there are classes: the text that has one of them."""


class Task(ABC):
    """An evaluation of one model. It reads its records when it is built, and is deterministic."""

    boundary: str = "joint"
    """How a context and its continuation become tokens. "joint": trailing spaces of the context move to the continuation, both
    are encoded as one text, and the continuation begins after as many tokens as the context alone has (as in
    lm-evaluation-harness). "separate": each is encoded by itself."""
    prefix: str = "empty"
    """When an end-of-text token precedes the context: "empty" (only if the context is empty) or "always"."""
    separator: str = "\n\n"
    """The text between two examples in context."""
    right_or_wrong: str | None = None
    """The name of the score that is 1 for a right answer and 0 for a wrong one, for pass@k; None if there is none."""
    has_groups: bool = False
    """Whether the groups of items get metrics of their own, and their mean is a metric, too."""
    excluded_words: Sequence[str] = ()
    """Words for `LogLikelihoodAnswer.is_greedy_filtered`: a continuation cannot begin with a token that is one of these words."""

    scoring: Mapping[str, Any] = {}
    """What decides the scores besides the items and the settings, as plain JSON values, such as the version of a library."""

    @abstractmethod
    def items(self) -> Sequence[Item]:
        """Return the items, always the same ones in the same order."""

    @abstractmethod
    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        """Return named scores of one item. All items have the same names.

        Args:
            item: the item.
            answers: one answer per request, in the same order.
        """

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        """Return the score of each option, if the task chooses the highest one and the target is its number; otherwise nothing.

        Their softmax is the probability of each option, from which the calibration of the model is computed.
        """
        return ()

    def aggregate(self, scores: Columns) -> dict[str, float]:
        """Return the metrics, the main one first: by default the mean of each score.

        It must be a function of the scores alone, because intervals are computed from resampled items.
        """
        return {name: float(values.mean()) for name, values in scores.items()}

    def subset_scores(self, scores: Columns) -> Columns:
        """Return the scores of each metric that is the mean over a part of the items, such as those of one kind.

        If another metric is the mean of all of these metrics, its interval is computed from theirs.
        """
        return {}

    def chance(self) -> dict[str, float]:
        """Return the expected metrics of random guessing, where they are known."""
        return {}

    def final_answer(self, item: Item, answers: Sequence[Answer]) -> str:
        """Return what a majority vote over several samples counts: by default the generated texts without spaces around them."""
        return "\n".join(answer.text.strip() for answer in answers if isinstance(answer, GenerationAnswer))

    def pool(self) -> Sequence[Item]:
        """Return the items that can be shown as solved examples: by default the evaluated ones."""
        return self.items()

    def solution(self, item: Item) -> str | None:
        """Return the text of an item with its correct answer, as an example in context; None if the task has no such text."""
        return None

    def options(self, item: Item) -> Options | None:
        """Return the options of an item; None if the task does not choose one of several options."""
        return None

    def score_choice(self, item: Item, chosen: int) -> dict[str, float]:
        """Return the scores of an item, given the number of the option that a classifier chose. Only for tasks with options."""
        raise NotImplementedError(f"{type(self).__name__} has no options")

    def with_examples(self, item: Item, examples: str) -> Item:
        """Return the item with the text of solved examples before its contexts and prompts."""
        return replace(item, requests=tuple(_prepend(examples, request) for request in item.requests))

    def question_and_answer(self, item: Item) -> tuple[str, str] | None:
        """Return the two parts of `solution`; None if no request of the item ends with the first part."""
        solution = self.solution(item)
        for request in self.with_examples(item, _MARK).requests if solution is not None else ():
            question = (request.prompt if isinstance(request, Generation) else getattr(request, "context", "")).partition(_MARK)[2]
            if solution is not None and question and solution.startswith(question) and len(solution) > len(question):
                return question, solution[len(question) :]
        return None


_MARK = "\0"
"""Stands where the examples would."""


def _prepend(text: str, request: Request) -> Request:
    if isinstance(request, LogLikelihood):
        return replace(request, context=text + request.context)
    if isinstance(request, Generation):
        return replace(request, prompt=text + request.prompt)
    raise TypeError("a text that is scored as a whole cannot follow examples")
