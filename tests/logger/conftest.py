"""Tiny runs for the tests of loggers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import tiny_words, train

__all__ = ["tiny_words", "train"]

WORDS = (
    "val.every=2",
    "save.every=2",
    "samples.prompts=[a]",
    "samples.max_new_tokens=2",
    "samples.every=0",
    "trainer.log_every_n_steps=1",
    "optimizer.schedule.shape=constant",  # a run of four steps is then the beginning of one of six
)


@pytest.fixture
def log(train: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """`log(*words, steps=6)`: a run of so many steps with a row of metrics each; gives its folder, always the same."""

    def run(*words: str, steps: int = 6) -> Path:
        train(tmp_path / "run", *WORDS, f"trainer.max_steps={steps}", *words)
        return tmp_path / "run"

    return run


@pytest.fixture(autouse=True)
def _no_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reaches a server, whatever this machine is set up for."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
