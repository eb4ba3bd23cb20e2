"""Exams: a question with lettered options, whose answer is a letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from gptkit.errors import DataError
from gptkit.records import Example
from gptkit.task.base import Columns, Item
from gptkit.task.example_task import ExampleTask, OptionTask, log_likelihoods
from gptkit.task.extraction import Extractor
from gptkit.task.requests import Answer, Generation, GenerationAnswer, LogLikelihood

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task.exam_config import LetterChoiceConfig

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ANSWER = "\nAnswer:"
EXPLANATION, CONCLUSION = "\nExplanation:", "The answer is therefore ["
EXTRACT = {"generate": r"\b([A-Z])\b", "explanation": r"answer is therefore \[?([A-Z])\b"}
"""The letter in a generated text, for each scoring that generates."""


class LetterChoice(OptionTask):
    """The option whose letter has the highest log-probability after "Answer:"."""

    evaluated_splits: ClassVar[tuple[str, ...]] = ("test", "validation")

    def __init__(self, settings: LetterChoiceConfig, data: Data) -> None:
        self._preamble, self._option = settings.preamble, settings.option
        super().__init__(settings, data)

    def check(self, example: Example) -> None:
        super().check(example)
        if len(example.options) > len(LETTERS):
            raise DataError(f"{example.where}: there are {len(example.options)} options, more than letters")

    def item(self, example: Example) -> Item:
        context = self.preamble(example.group) + self.question(example) + ANSWER
        requests = tuple(LogLikelihood(context, f" {letter}") for letter in LETTERS[: len(example.options)])
        return Item(requests, example.label, example.where, example.group)

    def question(self, example: Example) -> str:
        """Return the question and its options, one per line."""
        lines = [example.text] if example.pair is None else [example.text, example.pair]
        options = zip(LETTERS, example.options, strict=False)
        return "\n".join([*lines, *(self._option.replace("{letter}", one).replace("{option}", other) for one, other in options)])

    def preamble(self, group: str) -> str:
        """Return the text before the first question."""
        return "" if "{group}" in self._preamble and not group else self._preamble.replace("{group}", group)

    def solution(self, item: Item) -> str | None:
        solution = super().solution(item)
        return None if solution is None else solution[len(self.preamble(item.group)) :]

    def with_examples(self, item: Item, examples: str) -> Item:
        """Put the examples between the preamble and the question."""
        before = len(self.preamble(item.group))

        def insert(text: str) -> str:
            return text[:before] + examples + text[before:]

        requests = tuple(
            replace(request, context=insert(request.context))
            if isinstance(request, LogLikelihood)
            else replace(request, prompt=insert(request.prompt))
            for request in item.requests
            if isinstance(request, LogLikelihood | Generation)
        )
        return replace(item, requests=requests)

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        return [answer.total for answer in log_likelihoods(answers)]


class GeneratedLetter(LetterChoice):
    """The letter in a text that the model generates. A text without a letter is wrong; `answered` is the share of texts with one.

    The target is the letter, with an explanation if there is one.
    """

    right_or_wrong = "accuracy"

    def __init__(self, settings: LetterChoiceConfig, data: Data) -> None:
        explains = settings.scoring == "explanation"
        self._cue = EXPLANATION if explains else ANSWER
        self._extractor = Extractor(settings.extract or EXTRACT[settings.scoring])
        temperature = (0.3 if explains else 0.0) if settings.temperature is None else settings.temperature
        self._request = Generation(
            "", settings.max_new_tokens or (512 if explains else 8), stop=("]",) if explains else ("\n",), temperature=temperature
        )
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        assert isinstance(example.label, int)
        prompt = self.preamble(example.group) + self.question(example) + self._cue
        target = {"letter": LETTERS[example.label], "explanation": example.explanation}
        return Item((replace(self._request, prompt=prompt),), target, example.where, example.group)

    def solution(self, item: Item) -> str | None:
        (request,) = item.requests
        assert isinstance(request, Generation)
        letter, explanation = item.target["letter"], item.target["explanation"]
        answer = f"{explanation} {CONCLUSION}{letter}]".strip() if self._cue == EXPLANATION else letter
        return f"{request.prompt[len(self.preamble(item.group)) :]} {answer}"

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        letter = self.final_answer(item, answers)
        return {"accuracy": float(letter == item.target["letter"]), "answered": float(letter != "")}

    def final_answer(self, item: Item, answers: Sequence[Answer]) -> str:
        """Return the letter; empty if there is none."""
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        return self._extractor.find(answer.text, where=item.where) or ""

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        return ()

    def metrics(self, scores: Columns) -> dict[str, float]:
        return ExampleTask.metrics(self, scores)
