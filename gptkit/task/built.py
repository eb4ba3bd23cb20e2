"""What every evaluation task is once built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gptkit.model.built import BuiltModel
    from gptkit.tokenizer.built import BuiltTokenizer


class BuiltTask(Protocol):
    """Evaluation draws on its own random stream and never changes the model."""

    def __call__(self, model: BuiltModel, tokenizer: BuiltTokenizer, *, seed: int) -> dict[str, float]:
        """Named scores of the model, the main one first."""
