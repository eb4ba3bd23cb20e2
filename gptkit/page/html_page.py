"""Render HTML pages from templates: those beside this file, and those of the caller.

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


def render(template: str, *, templates: Path = _TEMPLATES, scripts: tuple[str, ...] = (), **context: Any) -> str:
    """Render a template. Lone surrogates, which file names may contain, become question marks.

    Args:
        template: the file name of the template.
        templates: the folder of the template and of what it includes, besides the folder of this package.
        scripts: file names of further scripts of the page.
        context: the values of the template.
    """
    page = _environment(templates, scripts).get_template(template).render(context)
    return page.encode("utf-8", "replace").decode("utf-8")


def fragment(template: str, *, templates: Path = _TEMPLATES, **context: Any) -> Markup:
    """Render a template as a part of a page. See `render`."""
    return Markup(_environment(templates, ()).get_template(template).render(context))


@functools.cache
def _environment(templates: Path, scripts: tuple[str, ...]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([templates, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":"), "allow_nan": False}

    def asset(name: str) -> Markup:
        """Return a style sheet or script of the kit, which is inserted without being parsed as a template."""
        folder = next(folder for folder in (templates, _TEMPLATES) if (folder / name).is_file())
        return Markup((folder / name).read_text(encoding="utf-8"))

    script = "".join(asset(name) + "\n" for name in (*_SCRIPTS, *scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(asset=asset, script=Markup(script), script_hash=f"sha256-{digest}")
    return environment
