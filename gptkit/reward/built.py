"""What every reward is once built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from gptkit.records import Prompt

if TYPE_CHECKING:
    from gptkit.objective.built import Trained


class BuiltReward(ABC):
    """A judge of responses. Scores do not depend on what else is in the batch."""

    trained: Trained | None = None
    """The model that scores, where it is one trained with objective=reward: a value network may start from it."""

    @abstractmethod
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """(B,) float32 scores, higher is better, of B responses to B prompts, on the CPU."""
