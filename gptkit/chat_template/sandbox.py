"""The sandbox in which Jinja2 templates are rendered, with the functions that transformers provides.

A template can compute only with the values that it is given: it cannot import, read files, change its arguments or reach Python's
internals, and it must end soon (`gptkit.jinja_sandbox`). The block `{% generation %}` surrounds answers with two marks.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from gptkit.jinja_sandbox import BoundedSandbox, checked

GENERATION_BEGINS, GENERATION_ENDS = "\ue0f0", "\ue0f1"
"""Private characters that surround the content of `{% generation %}`."""
MAX_INDENT = 100
"""Maximum number of spaces of each level of `tojson`."""


class TemplateRefusal(Exception):
    """A template called `raise_exception`: it does not support these messages."""


class Generation(Extension):
    """The block `{% generation %} ... {% endgeneration %}`."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_surround")
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _surround(self, caller: Callable[[], str]) -> str:
        return f"{GENERATION_BEGINS}{caller()}{GENERATION_ENDS}"


@functools.lru_cache(maxsize=32)
def compile_template(text: str, date: str | None = None) -> Template:
    """Compile a template.

    Args:
        text: the template.
        date: the date that `strftime_now` formats. Without one, the function is not defined: a template that depends on the day
            of its rendering is not reproducible.

    Raises:
        TemplateError: the template is not valid Jinja2.
    """
    environment = BoundedSandbox(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    if date is not None:
        day = datetime.datetime.fromisoformat(date)
        environment.globals["strftime_now"] = day.strftime
    return environment.from_string(environment.bound(environment.parse(text)))


def render(template: Template, variables: Mapping[str, Any]) -> str:
    """Render a template.

    Raises:
        TemplateRefusal: the template does not support the messages. The text is the template's.
        TemplateError: the template fails.
    """
    assert isinstance(template.environment, BoundedSandbox)
    template.environment.start()
    try:
        return template.render(**variables)
    except (TemplateRefusal, TemplateError):
        raise
    except Exception as error:  # a template may cause any error of its operators, such as a sum of a text and a number
        raise TemplateError(f"{type(error).__name__}: {error}") from error


def _refuse(message: str) -> NoReturn:
    raise TemplateRefusal(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if isinstance(indent, int) and indent > MAX_INDENT:
        raise TemplateError(f"tojson: indent={indent} is more than {MAX_INDENT}")
    checked(value)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
