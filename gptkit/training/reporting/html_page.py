"""Render the HTML pages of runs and comparisons from the templates beside this file.

A page is one self-contained file: a browser loads nothing else, and runs no script but the kit's own, whose hash it checks. The
templates escape every text; only SVG that the kit drew is inserted as markup. Everything can be read without the script.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPTS = ("uplot/uPlot.iife.min.js", "elements.js", "charts.js", "tables.js")


def render(template: str, **context: Any) -> str:
    """Render a template of the templates/ folder. Lone surrogates, which file names may contain, become question marks."""
    page = _environment().get_template(template).render(context)
    return page.encode("utf-8", "replace").decode("utf-8")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":"), "allow_nan": False}
    script = "".join(_asset(name) + "\n" for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(asset=_asset, script=Markup(script), script_hash=f"sha256-{digest}")
    return environment


def _asset(name: str) -> Markup:
    """Return a style sheet or script of the kit, which is inserted without being parsed as a template."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))
