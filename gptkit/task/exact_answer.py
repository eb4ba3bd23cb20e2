"""Tasks whose answers are generated up to a newline, and are correct if they equal the right answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gptkit.task.base import Columns, Item, Task
from gptkit.task.requests import Answer, Generation, GenerationAnswer


@dataclass(frozen=True)
class Problem:
    """A prompt and the right answer."""

    prompt: str
    answer: str
    kind: str


class ExactAnswerTask(Task):
    """Problems of one or several kinds. The metrics are the accuracy, and that of each kind if there are several."""

    boundary, prefix = "separate", "always"

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        instruction: str = "",
        separator: str = "\n\n",
    ) -> None:
        """
        Args:
            problems: the problems, at least one.
            max_new_tokens: maximum length of an answer.
            temperature: temperature of sampling; 0: greedy.
            instruction: the text before the first example, or before the problem if there are no examples.
            separator: the text between two examples.
        """
        self.separator = separator
        self._instruction = instruction
        self.kinds = list(dict.fromkeys(problem.kind for problem in problems))
        self.right_or_wrong = "accuracy" if len(self.kinds) == 1 else "correct"
        self._items = [
            Item(
                (Generation(instruction + problem.prompt, max_new_tokens, stop=("\n",), temperature=temperature),),
                problem.answer,
                f"problem {number}",
                problem.kind,
            )
            for number, problem in enumerate(problems, 1)
        ]

    def items(self) -> Sequence[Item]:
        return self._items

    def solution(self, item: Item) -> str | None:
        return f"{self._prompt(item)} {item.target}"

    def with_examples(self, item: Item, examples: str) -> Item:
        (request,) = item.requests
        assert isinstance(request, Generation)
        return replace(item, requests=(replace(request, prompt=self._instruction + examples + self._prompt(item)),))

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        correct = float(answer.text.strip() == item.target)
        if len(self.kinds) == 1:
            return {"accuracy": correct}
        return {"correct": correct, "kind": float(self.kinds.index(item.group))}

    def aggregate(self, scores: Columns) -> dict[str, float]:
        """Return the mean of the accuracies of the kinds, and each of them."""
        if len(self.kinds) == 1:
            return super().aggregate(scores)
        accuracies = dict.fromkeys(self.kinds, math.nan)  # a resample may lack a kind
        accuracies |= {kind: float(values.mean()) for kind, values in self.subset_scores(scores).items()}
        return {"accuracy": float(np.nanmean(list(accuracies.values()))), **accuracies}

    def subset_scores(self, scores: Columns) -> Columns:
        """Return the scores of the items of each kind."""
        if len(self.kinds) == 1:
            return {}
        by_kind = {kind: scores["correct"][scores["kind"] == number] for number, kind in enumerate(self.kinds)}
        return {kind: values for kind, values in by_kind.items() if len(values)}

    def chance(self) -> dict[str, float]:
        return {"accuracy": 0.0}

    def _prompt(self, item: Item) -> str:
        (request,) = item.requests
        assert isinstance(request, Generation)
        return request.prompt[len(self._instruction) :]
