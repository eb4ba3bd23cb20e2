"""The id of a remote run, kept in the run folder so that a continued run finds it again."""

from __future__ import annotations

from pathlib import Path

from gptkit.atomic_io import wrap_os_errors, write_file

FILE = "run_id"


def read_run_id(folder: Path) -> str | None:
    """Returns the id that a logger's folder holds; None where there is none."""
    try:
        return (folder / FILE).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def write_run_id(folder: Path, run_id: str) -> None:
    """Writes the id to a logger's folder.

    Raises:
        GptkitError: the file cannot be written, for example because the disk is full.
    """
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / FILE, f"{run_id}\n")


def default_run_name(folder: Path) -> str:
    """Returns the last two folders of a run's path: `runs/books`, `08-41-33/0`.

    Args:
        folder: the folder of a logger, which is in the run folder.
    """
    return "/".join(folder.absolute().parent.parts[1:][-2:])
