"""Which checkpoints a run keeps: their folders by step and by merit, and which of them may go. None is verified here."""

from __future__ import annotations

import os
from pathlib import Path

from gptkit.atomic_io import remove_folder, wrap_os_errors
from gptkit.errors import CheckpointError
from gptkit.training.checkpoints.manifest import FOLDER, FOLDER_NAME, Manifest, read_manifest


def list_checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, newest first, none of them verified.

    Raises:
        CheckpointError: the folder of checkpoints cannot be read, or is none.
    """
    return sorted((path for path in _names(run) if FOLDER_NAME.fullmatch(path.name)), key=_step, reverse=True)


def list_unfinished(run: Path, prefix: str) -> list[Path]:
    """What a killed run left under a name that begins so (WRITING or OLD)."""
    return [path for path in _names(run) if path.name.startswith(prefix) and FOLDER_NAME.fullmatch(path.name.removeprefix(prefix))]


def _names(run: Path) -> list[Path]:
    folder = run / FOLDER
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        if not folder.is_symlink():
            return []
        why = "is a link to nothing"
    except NotADirectoryError:
        if not os.path.lexists(folder):
            return []  # what is said to be the run is a file
        why = "is a file, and a run has its checkpoints in a folder of that name"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    raise CheckpointError(f"{folder}: {why}; move it away, or give another run folder")


def ranked_checkpoints(run: Path) -> list[Path]:
    """The validated checkpoints of a run, the best first, newer first among equals; only manifests are read."""
    return _rank(_manifests(run))


def best_first(run: Path) -> list[Path]:
    """All checkpoints of a run in the order in which they are tried: by merit, and behind those the others, newest first.

    Before all of them come those whose manifest is damaged: any may have been the best, so it is said that it is not used.
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
    merits = {folder: one.merit for folder, one in manifests.items() if one is not None and one.merit is not None}
    return sorted(merits, key=lambda folder: (merits[folder], -_step(folder)))


def remove_old_checkpoints(run: Path, step: int, keep: int) -> None:
    """Keep the newest `keep` up to this step, and the best. Later steps were torn, or it would not be here: they do not count.

    Raises:
        GptkitError: one that is to go cannot be removed.
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
