"""The length of a run in epochs, and with sequences of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gptkit.command import TrainCommand
from gptkit.data.dataset import Batch as Tensors
from gptkit.data.dataset import Dataset
from gptkit.model import GPTConfig
from gptkit.run_config import BatchConfig
from gptkit.training.duration import describe_ignored_keys, run_length


class Sized(Dataset):
    """Items of these lengths, or of the full context."""

    def __init__(self, items: int, lengths: list[int] | None = None) -> None:
        self._items, self._lengths = items, lengths

    def __len__(self) -> int:
        return self._items

    def batch(self, indices: Sequence[int]) -> Tensors:
        raise NotImplementedError

    def lengths(self) -> NDArray[np.int64] | None:
        return None if self._lengths is None else np.array(self._lengths, dtype=np.int64)


def settings(epochs: float | None = None, tokens: int = 1000, **trainer: Any) -> TrainCommand:
    return TrainCommand(model=GPTConfig(context=10), batch=BatchConfig(size=3), tokens=tokens, epochs=epochs, trainer=trainer)


@pytest.mark.parametrize(
    ("run_settings", "train", "expected"),
    [
        (settings(epochs=2), Sized(9), (6, 180)),
        (settings(epochs=0.5), Sized(9), (2, 60)),  # 1.5 steps
        (settings(epochs=0.01), Sized(9), (1, 30)),
        (settings(epochs=3), Sized(4, [2, 4, 4, 10]), (4, 60)),  # a mean batch has 15 tokens
        (settings(tokens=61), Sized(4, [2, 4, 4, 10]), (5, 61)),
        (settings(epochs=3, max_steps=7), Sized(4, [2, 4, 4, 10]), (7, 105)),
        (settings(epochs=3, max_steps=-1), Sized(9), (9, 270)),
        (settings(epochs=3), None, (34, 1000)),  # before the data is read
    ],
)
def test_run_length_returns_steps_and_horizon(run_settings: TrainCommand, train: Dataset | None, expected: tuple[int, int]) -> None:
    assert run_length(run_settings, train) == expected


@pytest.mark.parametrize(
    ("run_settings", "phrase"),
    [
        (settings(tokens=1000), ""),
        (settings(epochs=3, tokens=4_000_000), ""),  # the default of tokens
        (settings(epochs=3, tokens=1000), " (epochs=3 decides, not tokens=1000)"),
        (settings(epochs=3, tokens=4_000_000, max_steps=7), " (trainer.max_steps decides, not epochs=3)"),
        (settings(epochs=0.5, tokens=1000, max_steps=7), " (trainer.max_steps decides, not epochs=0.5 or tokens=1000)"),
        (settings(epochs=3, tokens=4_000_000, max_steps=-1), ""),
    ],
)
def test_ignored_length_keys_are_described(run_settings: TrainCommand, phrase: str) -> None:
    assert describe_ignored_keys(run_settings) == phrase
