"""Fixed draws of K examples, which all items and all ways of learning from examples share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from gptkit.errors import ConfigError
from gptkit.task.base import Item, Options, Task
from gptkit.task.wrapper import TaskWrapper


class ExampleDraws:
    """Sets of K examples from a pool, and the task without the items that are in any of them.

    Draw d has the K examples with the smallest hashes of (seed, d, example). So it does not depend on the order of the pool, and
    the examples for a smaller K are the first ones of those for a larger K. If items have groups, there are K examples of each.
    """

    def __init__(self, task: Task, pool: Sequence[Item], *, k: int, draws: int, seed: int = 0) -> None:
        """
        Args:
            task: the task without examples.
            pool: the items to draw from; they may include the evaluated ones.
            k: examples per draw and group, at least 1.
            draws: number of draws, at least 1.
            seed: seed of the draws.

        Raises:
            ConfigError: the pool has fewer examples than K, or all items are in a draw.
        """
        self.k = k
        groups = list(dict.fromkeys(item.group for item in task.items()))
        by_group: dict[str, dict[str, Item]] = {group: {} for group in groups}
        for item in pool:
            if item.group in by_group:
                by_group[item.group].setdefault(_identity(task, item), item)
        for group, items in by_group.items():
            if k > len(items):
                of_group = f" of {group}" if group else ""
                raise ConfigError(
                    f"fewshot.k={k} is larger than the pool, which has {len(items):,} example{'s' * (len(items) != 1)}{of_group}; "
                    "choose a smaller k, or a larger file with fewshot.path"
                )
        self.by_group: list[dict[str, list[Item]]] = []
        """For each draw, the examples of each group."""
        drawn: set[str] = set()
        for draw in range(draws):
            chosen = {group: sorted(items, key=lambda text: _hash(seed, draw, text))[:k] for group, items in by_group.items()}
            drawn |= {identity for identities in chosen.values() for identity in identities}
            self.by_group.append({group: [by_group[group][each] for each in chosen[group]] for group in groups})
        self.task = RemainingItems(task, [item for item in task.items() if _identity(task, item) not in drawn])
        """The task without the items that are in any draw."""
        self.items_left_out = len(task.items()) - len(self.task.items())
        if not self.task.items():
            raise ConfigError(
                f"fewshot.k={k} and {draws} draws leave no item to evaluate; choose a smaller k, fewer draws, or a file of "
                "examples with fewshot.path"
            )
        identities = sorted(identity for items in by_group.values() for identity in items)
        self.pool_fingerprint = hashlib.sha256(json.dumps(identities).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.by_group)

    def examples(self, draw: int) -> list[Item]:
        """Return the examples of a draw, group by group."""
        return [item for items in self.by_group[draw].values() for item in items]


class RemainingItems(TaskWrapper):
    """A task with a part of its items."""

    def __init__(self, task: Task, items: Sequence[Item]) -> None:
        super().__init__(task)
        self._items = items

    def items(self) -> Sequence[Item]:
        return self._items


def options_of(task: Task, items: Sequence[Item], mode: str) -> list[Options]:
    """Return the options of items.

    Raises:
        ConfigError: the task has no options.
    """
    result = []
    for item in items:
        options = task.options(item)
        if options is None:
            raise ConfigError(f"fewshot.mode={mode} needs a task that chooses one of several options; use fewshot.mode=in_context")
        result.append(options)
    return result


def _identity(task: Task, item: Item) -> str:
    """Return the text that two items share if one of them gives away the answer of the other."""
    solution = task.solution(item)
    return (
        json.dumps([[asdict(request) for request in item.requests], item.target], sort_keys=True) if solution is None else solution
    )


def _hash(seed: int, draw: int, text: str) -> bytes:
    return hashlib.sha256(json.dumps([seed, draw, text]).encode()).digest()
