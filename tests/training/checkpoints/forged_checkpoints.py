"""Forged checkpoints: files and manifests are altered consistently."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.attention import DenseAttentionConfig
from gptkit.command import TrainCommand
from gptkit.data import TextConfig
from gptkit.model import GPTConfig
from gptkit.objective import LMConfig
from gptkit.optimizer import AdamWConfig
from gptkit.tokenizer import CharTokenizerConfig
from gptkit.training.checkpoints.checkpoint import latest_checkpoint
from gptkit.training.checkpoints.manifest import describe_files

SETTINGS = TrainCommand(
    model=GPTConfig(layers=1, heads=2, width=8, context=16),
    attention=DenseAttentionConfig(),
    objective=LMConfig(),
    tokenizer=CharTokenizerConfig(),
    data=TextConfig(path="x"),
    optimizer=AdamWConfig(),
)


def folder_of(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:08d}"


def forge(folder: Path, change: Callable[[dict[str, Any]], Any] = lambda body: None, *, rehash: bool = True) -> None:
    """Write a manifest that matches the altered files."""
    body = json.loads((folder / "manifest.json").read_text())
    body.pop("sha256")
    if rehash:
        body["files"] = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in describe_files(folder).items()}
    changed = change(body)
    body = body if changed is None else changed
    own = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**body, "sha256": own} if isinstance(body, dict) else body))


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        for key in keys[:-1]:
            body = body[key]
        body[keys[-1]] = value

    return change


FILE = ("files", "model.safetensors")


def newest(run: Path, caplog: pytest.LogCaptureFixture) -> str:
    """Return the warning about the newest checkpoint, and check that the previous one is used instead."""
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert latest_checkpoint(run) == folder_of(run, 2)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "step-00000003" in message
    assert message.endswith("using step-00000002 instead")
    assert "\n" not in message
    return message
