"""Few-shot evaluation: K solved examples before every item.

Source: "Language Models are Few-Shot Learners", section 2.4: the examples are drawn at random for each item, from the training set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from gptkit.errors import ConfigError
from gptkit.task.base import Item, SolvedExample, Task
from gptkit.task.wrapper import TaskWrapper


@dataclass(frozen=True)
class FewShotStatistics:
    """How many examples in context the items have."""

    k: int
    mean: float
    """The mean number of examples of an item."""
    items_with_fewer: int
    """The number of items with fewer than K examples, because the context of the model is too short for all of them."""


class FewShotTask(TaskWrapper):
    """A task whose items begin with solved examples from a pool.

    The examples of an item depend on the seed and on the content of the item, and on nothing else. Those for a smaller K are the
    first ones of those for a larger K.
    """

    def __init__(
        self,
        task: Task,
        pool: Sequence[Item],
        *,
        k: int,
        separator: str | None = None,
        seed: int = 0,
        sampler: str = "random",
        fits: Callable[[Item], bool] = lambda item: True,
    ) -> None:
        """
        Args:
            task: the task without examples.
            pool: the items whose solutions are shown. An item with the same solution as the evaluated one is never shown.
            k: number of examples, at least 1.
            separator: the text between examples; None: that of the task.
            seed: seed of the draws.
            sampler: "random" for each item, or "first" ones of the pool for all items, as in MMLU.
            fits: returns whether an item fits the context of the model.

        Raises:
            ConfigError: the pool has fewer examples than K, or the task has no solved examples.
        """
        super().__init__(task)
        self.separator = task.separator if separator is None else separator
        self._k, self._seed, self._fits, self._sampler = k, seed, fits, sampler
        self._counts: list[int] = []
        self._pool = _solutions(task, pool)
        self._exchanges = {task.solution(item): task.question_and_answer(item) for item in pool}
        self._items = [self._with_examples(item) for item in task.items()]

    @property
    def statistics(self) -> FewShotStatistics:
        """How many examples the items have."""
        return FewShotStatistics(self._k, float(np.mean(self._counts or [0])), sum(count < self._k for count in self._counts))

    @property
    def protocol(self) -> dict[str, object]:
        """The settings that determine the examples, as plain JSON values."""
        content = json.dumps(self._pool, ensure_ascii=True, sort_keys=True)
        sampler = {} if self._sampler == "random" else {"sampler": self._sampler}
        return {"k": self._k, "separator": self.separator, **sampler, "pool": hashlib.sha256(content.encode()).hexdigest()}

    def items(self) -> Sequence[Item]:
        return self._items

    def _with_examples(self, item: Item) -> Item:
        examples = self._draw(item)
        count = _largest(len(examples), lambda number: self._fits(self._extend(item, examples[:number])))
        self._counts.append(count)
        return self._extend(item, examples[:count])

    def _extend(self, item: Item, examples: Sequence[str]) -> Item:
        if not examples:
            return item
        texts = [example + self.separator for example in examples]
        exchanges = [self._exchanges.get(example) for example in examples]
        solved = tuple(SolvedExample(text, *pair) for text, pair in zip(texts, exchanges, strict=True) if pair is not None)
        text = "".join(texts)
        complete = len(solved) == len(examples)
        return replace(self._task.with_examples(item, text), examples=len(text), solved=solved if complete else ())

    def _draw(self, item: Item) -> list[str]:
        pool = self._pool.get(item.group, [])
        own = self._task.solution(item)
        available = len(pool) - (own in pool)
        if self._k > available:
            of_group = f" of {item.group}" if item.group else ""
            raise ConfigError(
                f"fewshot.k={self._k} is larger than the pool, which has {available:,} example{'s' * (available != 1)}{of_group} "
                "besides the evaluated one; choose a smaller k, or a larger file with fewshot.path"
            )
        if self._sampler == "first":
            return [example for example in pool if example != own][: self._k]
        content = json.dumps([self._seed, [asdict(request) for request in item.requests], item.target], sort_keys=True)
        order = permutation(len(pool), int.from_bytes(hashlib.sha256(content.encode()).digest()[:16], "big"))
        examples: list[str] = []
        while len(examples) < self._k:
            example = pool[next(order)]
            if example != own:
                examples.append(example)
        return examples


class FixedExamplesTask(FewShotTask):
    """A task whose items begin with the same solved examples, those of their group, or with as many of them as fit."""

    def __init__(
        self,
        task: Task,
        examples: Mapping[str, Sequence[Item]],
        *,
        k: int,
        separator: str | None = None,
        fits: Callable[[Item], bool] = lambda item: True,
    ) -> None:
        """
        Args:
            task: the task without examples.
            examples: K examples of each group of items.
            k: number of examples.
            separator: the text between examples; None: that of the task.
            fits: returns whether an item fits the context of the model.

        Raises:
            ConfigError: the task has no solved examples.
        """
        self._fixed = {group: _solutions(task, items)[group] for group, items in examples.items()}
        super().__init__(task, [item for items in examples.values() for item in items], k=k, separator=separator, fits=fits)

    def _draw(self, item: Item) -> list[str]:
        return self._fixed[item.group]


def permutation(size: int, key: int) -> Iterator[int]:
    """Yield the numbers below `size` in a random order that depends on the key alone; numpy guarantees it in all versions."""
    numbers = np.random.Philox(key=key)
    moved: dict[int, int] = {}
    for position in range(size):
        other = position + int(numbers.random_raw()) % (size - position)
        yield moved.get(other, other)
        moved[other] = moved.get(position, position)


def _solutions(task: Task, pool: Sequence[Item]) -> Mapping[str, list[str]]:
    """Return the distinct solutions of the pool by group.

    Raises:
        ConfigError: the task has no solutions.
    """
    solutions: dict[str, dict[str, None]] = {}
    for item in pool:
        solution = task.solution(item)
        if solution is None:
            raise ConfigError("the items of this task have no solutions to show as examples; remove fewshot.k")
        solutions.setdefault(item.group, {})[solution] = None
    return {group: list(texts) for group, texts in solutions.items()}


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `limit` that fits, by bisection; 0 if none does."""
    if fits(limit):
        return limit
    low, high = 0, limit
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
