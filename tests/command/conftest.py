"""A run that no training was needed for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def untrained_run() -> Callable[..., Path]:
    """`untrained_run(folder, model=..., attention=..., change=...)`: a run over bytes with one checkpoint, of random weights.

    `change(model)` may move the weights before they are written. Other settings of the run may be given by name.
    """
    from gptkit.command import TrainCommand
    from gptkit.data import TextConfig
    from gptkit.objective import LMConfig
    from gptkit.optimizer import AdamWConfig
    from gptkit.tokenizer import BytesTokenizerConfig
    from gptkit.training.checkpoints.save import write_checkpoint

    def write(folder: Path, *, model: Any, attention: Any, change: Callable[[Any], None] | None = None, **others: Any) -> Path:
        parts = {
            "objective": LMConfig(),
            "tokenizer": BytesTokenizerConfig(),
            "data": TextConfig(path=["unused"]),
            "optimizer": AdamWConfig(),
        }
        settings = TrainCommand(model=model, attention=attention, **(parts | others))
        torch.manual_seed(0)
        tokenizer = settings.tokenizer.build(texts=[])
        built = model.build(attention=attention, vocabulary=tokenizer.size)
        if change is not None:
            change(built)
        write_checkpoint(
            folder,
            step=1,
            tokenizer=tokenizer,
            settings=settings,
            keep=0,
            val_loss=None,
            merit=None,
            model_state=built.state_dict(),
            objective_state=None,
            state={},
        )
        return folder

    return write
