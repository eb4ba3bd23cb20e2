"""Writes figures as SVG files in the run's figures/ folder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.atomic_io import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "figures"


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write each figure to <run folder>/figures/<title>.svg, and replace an earlier one.

    Raises:
        GptkitError: the disk is full.
    """
    if not figures:
        return
    import matplotlib

    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for title, figure in figures.items():
        buffer = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": title}):
            figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
        write_file(folder / FOLDER / f"{title}.svg", buffer.getvalue())


def list_figures(folder: Path) -> list[Path]:
    """Return the figure files of a run, sorted by title."""
    return sorted((folder / FOLDER).glob("*.svg"))
