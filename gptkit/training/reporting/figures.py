"""Figures as SVG: inline in a page with the page's colours, and as files in the run's figures/ folder."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from gptkit.atomic_io import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def inline_svg(figure: Any, name: str, label: str, variables: Mapping[str, str]) -> Markup:
    """The figure's SVG element.

    Args:
        figure: a matplotlib figure, drawn with `svg.fonttype` "none" and a fixed `svg.hashsalt`.
        name: unique in the page; every id in the drawing begins with it.
        label: what a screen reader says.
        variables: colour of the drawing -> name of the style sheet's variable that takes its place.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    text = re.sub(
        r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", ""), text
    )  # a hundredth of a pixel
    # names must be unique in a page of several drawings
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in variables.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1))


def escape_text(text: str, longest: int = 40) -> str:
    """A text of the user's as matplotlib is to draw it: no formula, no control characters, cut, not hidden by an underscore."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    shown = shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
    return ("\u200b" if shown.startswith("_") else "") + shown.replace("$", r"\$")


FOLDER = "figures"


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write each figure to <run folder>/figures/<title>.svg, replacing an earlier one.

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
    """Return the figures of a run, by title."""
    return sorted((folder / FOLDER).glob("*.svg"))
