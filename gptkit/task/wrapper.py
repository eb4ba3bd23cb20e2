"""The base class of tasks that change another task."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.task.base import Columns, Item, Options, Task
from gptkit.task.requests import Answer


class TaskWrapper(Task):
    """A task that is like another one, except for what a subclass overrides."""

    def __init__(self, task: Task) -> None:
        """
        Args:
            task: the task whose attributes are copied, and whose methods are called.
        """
        self._task = task
        for name in Task.__annotations__:
            setattr(self, name, getattr(task, name))

    def items(self) -> Sequence[Item]:
        return self._task.items()

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        return self._task.score(item, answers)

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        return self._task.option_scores(item, answers)

    def aggregate(self, scores: Columns) -> dict[str, float]:
        return self._task.aggregate(scores)

    def subset_scores(self, scores: Columns) -> Columns:
        return self._task.subset_scores(scores)

    def chance(self) -> dict[str, float]:
        return self._task.chance()

    def final_answer(self, item: Item, answers: Sequence[Answer]) -> str:
        return self._task.final_answer(item, answers)

    def pool(self) -> Sequence[Item]:
        return self._task.pool()

    def solution(self, item: Item) -> str | None:
        return self._task.solution(item)

    def options(self, item: Item) -> Options | None:
        return self._task.options(item)

    def score_choice(self, item: Item, chosen: int) -> dict[str, float]:
        return self._task.score_choice(item, chosen)

    def question_and_answer(self, item: Item) -> tuple[str, str] | None:
        return self._task.question_and_answer(item)

    def with_examples(self, item: Item, examples: str) -> Item:
        return self._task.with_examples(item, examples)
