"""What every evaluation task is once built, and what it is given to evaluate."""

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
    """A trained model as a task sees it."""

    model: Model
    """In evaluation mode."""
    tokenizer: Tokenizer
    source: str = ""
    """Where it was read, for messages."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those of its run, as plain values with the parts as mappings with `name`; empty where it comes from no run."""


class Task(Protocol):
    """Evaluation draws on its own random stream and never changes a model."""

    def __call__(
        self, subject: Subject, *, against: Subject | None = None, judge: Reward | None = None, seed: int
    ) -> dict[str, float]:
        """Named scores of the subject, the main one first.

        Args:
            subject: the model that is evaluated.
            against: the one that it is compared with; given where the task's `compares` is true.
            judge: scores responses; given where the task's `judged` is true.
            seed: the same seed gives the same scores.
        """
