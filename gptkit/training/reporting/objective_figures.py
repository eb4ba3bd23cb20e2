"""Drawings of what an objective measured of the held-out items: the newest of each title, in the run folder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.atomic_io import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "figures"


def write_drawings(folder: Path, drawn: Mapping[str, Figure]) -> None:
    """Write each as <run folder>/figures/<title>.svg, in place of the one from before.

    Raises:
        GptkitError: the disk is full.
    """
    if not drawn:
        return
    import matplotlib

    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for title, figure in drawn.items():
        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": title}):
            figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
        write_file(folder / FOLDER / f"{title}.svg", buffer.getvalue())


def read_drawings(folder: Path) -> list[Path]:
    """The drawings of a run, by title."""
    return sorted((folder / FOLDER).glob("*.svg"))
