"""Lists the checkpoints of a run by step and by `value_to_minimize`, and removes old ones. Does not verify checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

from gptkit.atomic_io import remove_folder, wrap_os_errors
from gptkit.errors import CheckpointError
from gptkit.training.checkpoints.manifest import FOLDER, FOLDER_NAME, Manifest, read_manifest


def list_checkpoints(run: Path) -> list[Path]:
    """Return the checkpoint folders of a run, newest first, without verifying them.

    Raises:
        CheckpointError: `checkpoints` cannot be read, or is not a folder.
    """
    return sorted((path for path in _names(run) if FOLDER_NAME.fullmatch(path.name)), key=_step, reverse=True)


def list_unfinished(run: Path, prefix: str) -> list[Path]:
    """Return the folders with this prefix (WRITING or OLD) that a killed run left behind."""
    return [path for path in _names(run) if path.name.startswith(prefix) and FOLDER_NAME.fullmatch(path.name.removeprefix(prefix))]


def _names(run: Path) -> list[Path]:
    folder = run / FOLDER
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        if not folder.is_symlink():
            return []
        reason = "is a broken link"
    except NotADirectoryError:
        if not os.path.lexists(folder):
            return []  # the run folder itself is a file
        reason = "is a file, and should be the folder of the run's checkpoints"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise CheckpointError(f"{folder}: {reason}; move it away, or use another run folder")


def ranked_checkpoints(run: Path) -> list[Path]:
    """Return the validated checkpoints of a run, best first, and newest first among equals. Reads only manifests."""
    return _rank(_manifests(run))


def best_first(run: Path) -> list[Path]:
    """Return all checkpoints of a run in order of preference: first by `value_to_minimize`, then those without one, newest first.

    Checkpoints with a damaged manifest come before all others. Each may have been the best, so the reader warns about them.
    """
    manifests = _manifests(run)
    damaged = [folder for folder, manifest in manifests.items() if manifest is None]
    return list(dict.fromkeys([*damaged, *_rank(manifests), *manifests]))


def _manifests(run: Path) -> dict[Path, Manifest | None]:
    manifests: dict[Path, Manifest | None] = {}
    for folder in list_checkpoints(run):
        try:
            manifests[folder] = read_manifest(folder)
        except CheckpointError:
            manifests[folder] = None
    return manifests


def _rank(manifests: dict[Path, Manifest | None]) -> list[Path]:
    values = {
        folder: manifest.value_to_minimize
        for folder, manifest in manifests.items()
        if manifest is not None and manifest.value_to_minimize is not None
    }
    return sorted(values, key=lambda folder: (values[folder], -_step(folder)))


def remove_old_checkpoints(run: Path, step: int, keep: int) -> None:
    """Remove all checkpoints up to this step except for the newest `keep` and the best.

    Checkpoints of later steps are not counted: they are damaged, or the run would have resumed from them.

    Raises:
        GptkitError: a checkpoint cannot be removed.
    """
    if keep < 1:
        return
    past = [folder for folder in list_checkpoints(run) if _step(folder) <= step]
    retained = {*past[:keep], *ranked_checkpoints(run)[:1]}
    for folder in past:
        if folder not in retained:
            with wrap_os_errors(folder):
                remove_folder(folder)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))
