"""The base class of evaluation tasks, and the model that a task evaluates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gptkit.model.base import Model
    from gptkit.reward.base import Reward
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


class Task(Protocol):
    """Scores a model. A task uses its own random stream and never changes the model."""

    def __call__(
        self, subject: Subject, *, against: Subject | None = None, judge: Reward | None = None, seed: int
    ) -> dict[str, float]:
        """Return named scores of the model, the main one first.

        Args:
            subject: the model to evaluate.
            against: the model to compare it with; given if the task's `compares` is true.
            judge: scores responses; given if the task's `judged` is true.
            seed: the same seed gives the same scores.
        """
