"""Render the HTML pages of runs and comparisons from the templates beside this file.

A page is one self-contained file. The templates escape every text; only SVG that the kit drew is inserted as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Drawing:
    """A chart as inline SVG."""

    caption: str
    narrow: Markup
    """for a column or a phone"""
    wide: Markup | None = None
    """for the whole width of a desktop; None: the chart takes a column"""


def render(template: str, **context: Any) -> str:
    """Renders a template of the templates/ folder. Lone surrogates, which file names may contain, become question marks."""
    page = _environment().get_template(template).render(context)
    return page.encode("utf-8", "replace").decode("utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["asset"] = _asset
    return environment


def _asset(name: str) -> Markup:
    """Returns a style sheet or script of the kit, which is inserted without being parsed as a template."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))
