"""The base class of tasks. A task turns records into items, and scores the answers; it never sees a model.

`gptkit.evaluation.runner` answers the requests of the items with a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.task.requests import Answer, Request

Columns = Mapping[str, NDArray[np.float64]]
"""The scores of N items: each name with the values of all items, (N,)."""


@dataclass(frozen=True)
class Item:
    """One example of a task: what to ask, and what is needed to score the answers."""

    requests: tuple[Request, ...]
    target: Any = None
    """The correct answer as a plain JSON value, such as the number of an option."""
    where: str = ""
    """The location of the record in its file, for messages."""


class Task(ABC):
    """An evaluation of one model. It reads its records when it is built, and is deterministic."""

    boundary: str = "joint"
    """How a context and its continuation become tokens. "joint": trailing spaces of the context move to the continuation, both
    are encoded as one text, and the continuation begins after as many tokens as the context alone has (as in
    lm-evaluation-harness). "separate": each is encoded by itself."""
    prefix: str = "empty"
    """When an end-of-text token precedes the context: "empty" (only if the context is empty) or "always"."""

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

    def aggregate(self, scores: Columns) -> dict[str, float]:
        """Return the metrics, the main one first: by default the mean of each score.

        It must be a function of the scores alone, because intervals are computed from resampled items.
        """
        return {name: float(values.mean()) for name, values in scores.items()}

    def chance(self) -> dict[str, float]:
        """Return the expected metrics of random guessing, where they are known."""
        return {}
