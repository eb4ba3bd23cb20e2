"""Where the checkpoints of a run lie, and the step that a folder says by its name."""

from __future__ import annotations

import re
from pathlib import Path

from gptkit.atomic_io import WRITING

FOLDER = "checkpoints"

NAME = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,17})")
"""The name of a checkpoint's folder, with its step; no other text names the same step."""


def checkpoint_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies, whether it exists or not."""
    return run / FOLDER / f"step-{step:08d}"


def step_of(folder: Path) -> int | None:
    """The step that a checkpoint's folder says by its name, also while it is being written; None: it is called otherwise."""
    match = NAME.fullmatch(folder.name.removeprefix(WRITING))
    return int(match[1]) if match else None
