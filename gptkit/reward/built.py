"""What every reward is once built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from gptkit.records import Prompt


class BuiltReward(Protocol):
    """Scores do not depend on what else is in the batch."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """(B,) float32 scores, higher is better, of B responses to B prompts."""
