"""Fixtures for tiny runs in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

TINY = (
    "data=text",
    "tokenizer=char",
    "model.layers=2",
    "model.heads=2",
    "model.width=16",
    "model.context=8",
    "batch.size=6",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",  # not the default of the processor, because tests compare results exactly
    "trainer.max_steps=6",
    "val.every=0",
    "val.sequences=9",
    "samples.prompts=[]",
    "optimizer.lr=0.01",
)


@pytest.fixture(scope="session")
def tiny_words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The overrides of a tiny run, except for its folder."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(
        "".join(f"{n} bottles, {n * n % 97} glasses; who would count {n * 7 % 31}?\n" for n in range(120)), encoding="utf-8"
    )
    return [*TINY, f"data.path={path}"]


@pytest.fixture
def train(tiny_words: list[str]) -> Callable[..., Any]:
    """`train(folder, *words)`: trains a tiny run through the Python API and returns its result."""
    import gptkit

    def run(folder: Path, *words: str) -> Any:
        return gptkit.run(gptkit.compose("train", [*tiny_words, f"hydra.run.dir={folder}", *words]))

    return run


@pytest.fixture
def weights() -> Callable[[Path], dict[str, Tensor]]:
    """`weights(folder)`: returns the model's weights in the newest checkpoint of a run."""

    def newest(folder: Path) -> dict[str, Tensor]:
        return load_file(max((folder / "checkpoints").glob("step-*")) / "model.safetensors")

    return newest
