"""Which checkpoints a run keeps: their folders by step and by merit, and which of them may go. None is verified here."""

from __future__ import annotations

import re
from pathlib import Path

from gptkit.errors import CheckpointError
from gptkit.training.checkpoints.durable import remove_folder
from gptkit.training.checkpoints.manifest import read_manifest

FOLDER = "checkpoints"

_NAME = re.compile(r"step-(\d{8,})")


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lies, whether it exists or not."""
    return run / FOLDER / f"step-{step:08d}"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, newest first, none of them verified."""
    folder = run / FOLDER
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=_step, reverse=True)


def by_merit(run: Path) -> list[Path]:
    """The validated checkpoints of a run, the best first, newer first among equals; only manifests are read."""
    merits = {}
    for folder in checkpoints(run):
        try:
            merit = read_manifest(folder).merit
        except CheckpointError:
            continue
        if merit is not None:
            merits[folder] = merit
    return sorted(merits, key=lambda folder: (merits[folder], -_step(folder)))


def remove_old(run: Path, step: int, keep: int) -> None:
    """Keep the newest `keep` up to this step, and the best. Later steps were torn, or it would not be here: they do not count."""
    if keep < 1:
        return
    past = [folder for folder in checkpoints(run) if _step(folder) <= step]
    kept = {*past[:keep], *by_merit(run)[:1]}
    for folder in past:
        if folder not in kept:
            remove_folder(folder)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))
