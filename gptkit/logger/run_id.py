"""The id of a remote run, which is stored in the run folder for when the run resumes."""

from __future__ import annotations

from pathlib import Path

from gptkit.atomic_io import wrap_os_errors, write_file

FILE = "run_id"


def read_run_id(folder: Path) -> str | None:
    """Return the id in a logger's folder; None if there is none."""
    try:
        return (folder / FILE).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def write_run_id(folder: Path, run_id: str) -> None:
    """Write the id to a logger's folder.

    Raises:
        GptkitError: the file cannot be written, for example because the disk is full.
    """
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / FILE, f"{run_id}\n")


def default_run_name(folder: Path) -> str:
    """Return the last two folders of a run's path: `runs/books`, `08-41-33/0`.

    Args:
        folder: the folder of a logger, which is in the run folder.
    """
    return "/".join(folder.absolute().parent.parts[1:][-2:])
