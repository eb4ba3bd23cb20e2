"""What answers the requests of a task: a model in this process, or a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from gptkit.task.base import Item, Task
from gptkit.task.requests import Answer

AnsweredItem = tuple[int, list[Answer]]
"""The position of an item in its task, and one answer per request."""


class Answerer(ABC):
    """Answers the requests of items. Scores depend on the answers alone."""

    source: str = ""
    """Where it comes from, for messages."""
    settings: Mapping[str, Any] = {}
    """The settings of its run as plain values; empty if it was not trained by this kit."""
    context: int | None = None
    """The number of tokens that it reads at once; None: not known."""
    parameters: int | None = None
    """The number of weights; None: not known."""
    parallel: str = "sequences per forward pass"
    """What `batch` limits."""

    @abstractmethod
    def protocol(self, task: Task) -> dict[str, Any]:
        """Return what determines the answers to the requests of a task, as plain JSON values."""

    @abstractmethod
    def fits(self, task: Task) -> Callable[[Item], bool]:
        """Return a function that says whether the requests of an item fit the context, as far as that is known."""

    @abstractmethod
    def answer(
        self, task: Task, items: Sequence[Item], *, done: Collection[int] = (), seed: int = 0, batch: int = 0
    ) -> Iterator[list[AnsweredItem]]:
        """Yield groups of answered items. Items of a group are saved together.

        Args:
            task: the task, which says how requests become tokens.
            items: all items of the task.
            done: positions of items whose answers are not needed.
            seed: seed of the random numbers of sampled texts.
            batch: see `gptkit.evaluation.runner.evaluate`.

        Raises:
            DataError: an item has nothing to score.
            GptkitError: the answers cannot be computed.
        """
