"""Multiple choice: each option is scored as the continuation of the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gptkit.records import Example
from gptkit.task.base import Item, Options
from gptkit.task.example_task import OptionTask, log_likelihoods
from gptkit.task.requests import Answer, LogLikelihood, LogLikelihoodAnswer

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import ChoiceConfig

LENGTHS: dict[str, Callable[[str, LogLikelihoodAnswer], float]] = {
    "none": lambda option, answer: 1,
    "tokens": lambda option, answer: len(answer.log_probs),
    "characters": lambda option, answer: len(option),
    "bytes": lambda option, answer: len(option.encode()),
    "answer_context": lambda option, answer: 1,
}
"""For each normaliser, the length by which the log-probability of an option is divided."""


class Choice(OptionTask):
    """The text (and the question, if there is one), then the delimiter, then each option."""

    def __init__(self, settings: ChoiceConfig, data: Data) -> None:
        self.normaliser, self.delimiter = settings.normaliser, settings.delimiter
        self.answer_context = settings.answer_context
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        text = example.text if example.pair is None else f"{example.text}\n{example.pair}"
        before = self.delimiter.rstrip(" ")
        space = self.delimiter[len(before) :]
        continuations = [space + option for option in example.options]
        requests = [LogLikelihood(text + before, each) for each in continuations]
        if self.normaliser == "answer_context":
            context = self.answer_context.rstrip(" ")
            requests += [LogLikelihood(context, each) for each in continuations]
        return Item(tuple(requests), example.label, example.where, example.group)

    def with_examples(self, item: Item, examples: str) -> Item:
        """Put the examples before the questions, but not before the answer context."""
        extended = super().with_examples(item, examples)
        if self.normaliser != "answer_context":
            return extended
        half = len(item.requests) // 2
        return replace(extended, requests=extended.requests[:half] + item.requests[half:])

    def options(self, item: Item) -> Options:
        options = super().options(item)
        if self.normaliser != "answer_context":
            return options
        return replace(options, texts=options.texts[: len(options.texts) // 2])

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        scored = log_likelihoods(answers)
        if self.normaliser == "answer_context":
            half = len(scored) // 2
            return [one.total - other.total for one, other in zip(scored[:half], scored[half:], strict=True)]
        length = LENGTHS[self.normaliser]
        options = [request.continuation.lstrip(" ") for request in item.requests if isinstance(request, LogLikelihood)]
        return [each.total / length(option, each) for option, each in zip(options, scored, strict=True)]
