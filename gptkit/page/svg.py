"""Figures as SVG elements of a page, in the colours of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def inline_svg(figure: Any, name: str, label: str, variables: Mapping[str, str]) -> Markup:
    """Return the SVG element of a figure.

    Args:
        figure: a matplotlib figure, drawn with `svg.fonttype` "none" and a fixed `svg.hashsalt`.
        name: a name that is unique in the page; every id in the figure begins with it.
        label: the description for screen readers.
        variables: colour in the figure -> CSS variable that replaces it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 system-ui, sans-serif", text)
    # two decimals: a hundredth of a pixel
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", ""), text)
    # ids must be unique in a page of several figures
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in variables.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1))


def escape_text(text: str, longest: int = 40) -> str:
    """Escape a user's text for matplotlib: no formulas, no control characters, at most `longest` characters.

    matplotlib would omit a label that begins with an underscore, so a zero-width space precedes it.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    shortened = printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
    return ("\u200b" if shortened.startswith("_") else "") + shortened.replace("$", r"\$")
