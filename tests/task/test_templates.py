"""Templates over rows: what they can compute, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from gptkit.errors import ConfigError, DataError
from gptkit.task.templates import RowExpression, RowTemplate

ROW: dict[str, Any] = {
    "question": "What?",
    "options": ["x", "y"],
    "number": 3,
    "extra": {"key": "v"},
    "missing": None,
    "flag": True,
}


def render(source: str, row: dict[str, Any] = ROW) -> str:
    return RowTemplate(source, key="task.prompt").render(row, where="quiz.csv:2")


def value(source: str) -> Any:
    return RowExpression(source, key="task.answer").value(ROW, where="quiz.csv:2")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Question: {{ question }}\nAnswer:\n", "Question: What?\nAnswer:\n"),
        ("{% for o in options %}{{ loop.index }}. {{ o|upper }}\n{% endfor %}", "1. X\n2. Y\n"),
        ("{{ extra.key }}{{ extra['key'] }}{{ options[-1] }}", "vvy"),
        ("{{ question ~ ' ' ~ number }} {{ number * 2 + 1 }}", "What? 3 7"),
        ("{% if number > 2 and flag %}many{% else %}few{% endif %}", "many"),
        ("{{ options|join(', ') }} {{ question.replace('a', 'o') if false else question|replace('a', 'o') }}", "x, y Whot?"),
        ("{{ missing|default('none', true) }} {{ nowhere|default('none') }}", "none none"),
        ("{{ '<b>' }} {% raw %}{{ x }}{% endraw %}", "<b> {{ x }}"),
        ("{{ question.strip('?')|lower }} {{ question|length }}", "what 5"),
    ],
)
def test_templates_compute_texts(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("options", ["x", "y"]),
        ("[question, number]", ["What?", 3]),
        ("options|map('upper')", ["X", "Y"]),
        ("'ABCD'.index('C')", 2),
        ("options.index('y') if flag else 0", 1),
        ("question ~ '!'", "What?!"),
        ("missing", None),
    ],
)
def test_expressions_compute_values(source: str, result: Any) -> None:
    assert value(source) == result


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ question['__class__'] }}",
        "{{ question|attr('__class__') }}",
        "{{ options|map(attribute='__class__')|join }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__globals__ }}",
        "{{ range.__call__(3) }}",
        "{{ question.format.__globals__ }}",
        "{{ '{0.__class__}'.format(question) }}",
        "{{ question.encode() }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum() }}",
        "{% include 'secret.txt' %}",
        "{% import 'secret.txt' as x %}",
        "{% extends 'secret.txt' %}",
        "{{ options.append('z') }}",
        "{% set x = question %}{{ x }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in options recursive %}{{ loop(options) }}{% endfor %}",
    ],
)
def test_templates_cannot_reach_python(source: str) -> None:
    with pytest.raises((ConfigError, DataError), match=r"^(quiz\.csv:2: )?task\.prompt: [^\n]+$"):
        render(source)
    assert ROW["options"] == ["x", "y"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ ('a' * 1000000000)|length }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ [0] * 10**9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a'|center(1000000000) }}",
        "{{ 'a'.zfill(1000000000) }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in [1] %}{% for b in [1] %}{% for c in [1] %}{% for d in [1] %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for i in range(9999) %}{{ long }}{% endfor %}",
        "{{ long|replace('a', long) }}",
        "{{ [" + "long, " * 99 + "long]|join }}",
        "{{ " + "long ~ " * 99 + "long }}",
        "{{ " + "long + " * 99 + "long }}",
        "{{ [" + "1, " * 200 + "] }}",
        "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
        "x" * 30_000,
    ],
)
def test_templates_cannot_fill_the_memory_or_run_for_ever(source: str) -> None:
    with pytest.raises((ConfigError, DataError), match=r"^(quiz\.csv:2: )?task\.prompt: [^\n]+$"):
        render(source, ROW | {"long": "a" * 1_000_000})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ questoin }}", r"quiz\.csv:2: task\.prompt: 'questoin' is undefined; the fields are question, options, number"),
        ("{{ options }}", r"quiz\.csv:2: task\.prompt: a list cannot be inserted in a text; .*join"),
        ("{{ missing }}", r"quiz\.csv:2: task\.prompt: a value is null"),
        ("{{ 1 / 0 }}", r"quiz\.csv:2: task\.prompt: division by zero"),
        ("a\n{{ question", r"^task\.prompt: line 2: unexpected end of template"),
        ("{{ question|uper }}", r"^task\.prompt: line 1: No filter named 'uper'"),
    ],
)
def test_errors_name_the_file_the_row_and_the_key(source: str, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        render(source)


@pytest.mark.parametrize("source", ["", "question }} x", "question)", "question.__class__", "{% if x %}"])
def test_malformed_expressions_are_refused(source: str) -> None:
    with pytest.raises((ConfigError, DataError), match=r"task\.answer: "):
        value(source)
