"""Evaluations that compare two models, and the model with its tokenizer that they receive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward
    from gptkit.task.base import Task
    from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class Subject:
    """A trained model with its tokenizer and the settings of its run."""

    model: Model
    """In evaluation mode."""
    tokenizer: Tokenizer
    source: str = ""
    """Where it was loaded from, for messages."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of its run as plain values, with parts as mappings with `name`; empty for an imported model."""


Evaluate = Callable[["Task", Subject], Mapping[str, float]]
"""Evaluates a task with a model and returns its metrics, the main one first."""


class Comparison(Protocol):
    """Scores a model against another one. It uses its own random stream and never changes the models."""

    def __call__(
        self, subject: Subject, *, against: Subject, judge: Reward | None, evaluate: Evaluate, seed: int
    ) -> dict[str, float]:
        """Return named scores of the model, the main one first.

        Args:
            subject: the model to evaluate.
            against: the model to compare it with.
            judge: scores responses; given if `judged` of the task's config is true.
            evaluate: evaluates a task of one model.
            seed: the same seed gives the same scores.
        """
