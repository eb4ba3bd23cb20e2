"""A resumed run keeps MKL's mode, also if an earlier version of gptkit started it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.mkl_mode import DEFAULT_MODE, ENV_VARIABLE, current_mode


@pytest.mark.parametrize(("environment", "kept"), [(DEFAULT_MODE, ""), ("COMPATIBLE", "COMPATIBLE")])
def test_old_run_without_mkl_mode_resumes_without_one(
    environment: str, kept: str, train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV_VARIABLE, "")
    train(tmp_path, "trainer.max_steps=1")
    (saved,) = (tmp_path / "checkpoints").glob("*/state.pt")
    assert torch.load(saved, weights_only=True)["matrix_products"] == ""
    monkeypatch.setenv(ENV_VARIABLE, environment)
    train(tmp_path, "trainer.max_steps=2")
    assert current_mode() == kept
