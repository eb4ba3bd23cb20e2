"""A run folder with three intact checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from gptkit.training.checkpoints.save import write_checkpoint
from tests.training.checkpoints.forged_checkpoints import SETTINGS


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of steps 1, 2 and 3 with all weights 1, 2 and 3. The second is the best one, then the first."""
    folder = tmp_path_factory.mktemp("intact") / "run"
    tokenizer = SETTINGS.tokenizer.build(texts=["the quick brown fox"])
    model = SETTINGS.model.build(attention=SETTINGS.attention, vocabulary=tokenizer.size)
    for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0)):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(step)
        write_checkpoint(
            folder,
            step=step,
            model_state=model.state_dict(),
            objective_state={},
            state={"step": step},
            tokenizer=tokenizer,
            settings=SETTINGS,
            keep=0,
            val_loss=loss,
            value_to_minimize=loss,
        )
    return folder


@pytest.fixture
def run(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "run"))
