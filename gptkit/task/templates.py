"""Templates and expressions over the fields of a row, in the language of Jinja2. They compute nothing but texts and values.

Beyond the bounds of `gptkit.jinja_sandbox`, only conditions, loops, operators and a list of filters and methods are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.filters import FILTERS
from jinja2.parser import Parser
from jinja2.runtime import Context

from gptkit.errors import ConfigError, DataError
from gptkit.jinja_sandbox import BoundedSandbox, join_texts, replace_text

MAX_SOURCE = 20_000
"""Maximum length of a template."""
MAX_STEPS = 10_000
"""Maximum number of steps of all loops for one row."""
MAX_DEPTH = 3
"""Maximum number of loops within one another."""
MAX_ELEMENTS = 100
"""Maximum number of elements of all lists in a template. Together with `MAX_DEPTH`, it bounds values that contain one another."""
STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For)
LITERALS = (nodes.List, nodes.Tuple, nodes.Dict)
TEXT_METHODS = frozenset(
    ("capitalize", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower", "isspace")
)
TEXT_METHODS |= {
    "isupper",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "rfind",
    "rpartition",
    "rsplit",
    "rstrip",
}
TEXT_METHODS |= {"split", "splitlines", "startswith", "strip", "title", "upper"}
METHODS: dict[type, frozenset[str]] = {
    str: TEXT_METHODS,
    dict: frozenset(("get", "keys", "values", "items")),
    list: frozenset(("index", "count")),
    tuple: frozenset(("index", "count")),
}
"""The methods that can be called. Those that can return texts much longer than their arguments are missing."""
LIBRARY_FILTERS: tuple[str, ...] = (
    "abs",
    "default",
    "d",
    "first",
    "float",
    "int",
    "last",
    "length",
    "count",
    "list",
    "map",
    "max",
    "min",
)
LIBRARY_FILTERS += ("reject", "rejectattr", "select", "selectattr", "sort", "unique")


class RowTemplate:
    """A template of a text. The fields of a row are its variables."""

    def __init__(self, source: str, *, key: str) -> None:
        """
        Args:
            source: the template.
            key: its configuration key, for errors.

        Raises:
            ConfigError: it is not a template, or contains a statement that is not allowed.
        """
        self._key = key
        self._environment = _Environment()
        with_errors = _compile_errors(key)
        self._template = with_errors(lambda: self._environment.from_string(self._environment.checked(_parse(source))))

    def render(self, row: Mapping[str, Any], *, where: str) -> str:
        """Return the text for a row.

        Raises:
            DataError: it cannot be computed. The message begins with `where`, the location of the row.
        """

        return str(_evaluate(self._environment, lambda: self._template.render(dict(row)), row, where=where, key=self._key))


class RowExpression:
    """An expression, as between the braces of a template. The fields of a row are its variables."""

    def __init__(self, source: str, *, key: str) -> None:
        """Arguments and errors: see `RowTemplate`."""
        self._key = key
        self._environment = _Environment()
        with_errors = _compile_errors(key)
        self._template = with_errors(lambda: self._environment.from_string(self._assignment(source)))

    def _assignment(self, source: str) -> nodes.Template:
        _check_source(source)
        parser = Parser(self._environment, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError("there is something after the expression", parser.stream.current.lineno)
        checked = self._environment.checked(nodes.Template([nodes.Output([expression], lineno=1)], lineno=1))
        output = checked.body[0]
        assert isinstance(output, nodes.Output)
        checked.body = [nodes.Assign(nodes.Name("result", "store", lineno=1), output.nodes[0], lineno=1)]
        return checked

    def value(self, row: Mapping[str, Any], *, where: str) -> Any:
        """Return the value for a row: a text, a number, null, or a list or mapping of values.

        Raises:
            DataError: it cannot be computed. The message begins with `where`, the location of the row.
        """

        def value() -> Any:
            result = self._template.make_module(dict(row)).result  # the name that is assigned
            if isinstance(result, Undefined):
                str(result)  # raises the error of what is undefined
            return list(result) if isinstance(result, Iterator) else result

        return _evaluate(self._environment, value, row, where=where, key=self._key)


class _Environment(BoundedSandbox):
    """The sandbox, with only a few statements, filters, methods and types of operands."""

    max_steps = MAX_STEPS

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_scalar)
        self.globals.clear()
        self.globals["range"] = _bounded_range
        steps = self.filters["_steps"]
        self.filters.clear()
        self.filters.update({name: FILTERS[name] for name in LIBRARY_FILTERS})
        self.filters.update(TEXT_FILTERS)
        self.filters["_steps"] = steps

    def checked(self, template: nodes.Template) -> nodes.Template:
        """Return the parsed template with counted loops and bounded concatenations.

        Raises:
            SecurityError: it contains something that is not allowed.
        """
        elements = sum(len(list(each.iter_child_nodes())) for each in template.find_all(LITERALS))
        if elements > MAX_ELEMENTS:
            raise SecurityError(f"the lists have {elements:,} elements; at most {MAX_ELEMENTS} are allowed")
        self._check_node(template, depth=0)
        return self.bound(template)

    def _check_node(self, node: nodes.Node, *, depth: int) -> None:
        if isinstance(node, nodes.For):
            depth += 1
            if node.recursive or depth > MAX_DEPTH:
                raise SecurityError(f"line {node.lineno}: at most {MAX_DEPTH} loops within one another are allowed")
        elif not isinstance(node, (*STATEMENTS, nodes.Expr, nodes.Helper)):
            raise SecurityError(
                f"line {node.lineno}: {{% {type(node).__name__.lower()} %}} is not allowed; use conditions, loops and expressions"
            )
        for child in node.iter_child_nodes():
            self._check_node(child, depth=depth)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # the names of the base class
        owner = getattr(__obj, "__self__", None)
        is_method = type(owner) in METHODS and __obj.__name__ in METHODS[type(owner)]
        if not is_method and __obj is not _bounded_range and not isinstance(__obj, Undefined):
            raise SecurityError(f"{getattr(__obj, '__name__', 'a value')}() cannot be called in a template")
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        for value in (left, right):
            if isinstance(value, Undefined):
                str(value)  # raises the error of what is undefined
        are_texts = operator == "+" and isinstance(left, str) and isinstance(right, str)
        if not are_texts and (not isinstance(left, int | float) or not isinstance(right, int | float)):
            raise SecurityError(f"{operator} takes numbers, and + also texts; join values to a text with ~")
        return super().call_binop(context, operator, left, right)


def _bounded_range(*bounds: int) -> range:
    result = range(*bounds)
    if not -MAX_STEPS <= len(result) <= MAX_STEPS:
        raise SecurityError(f"range has {len(result):,} numbers; at most {MAX_STEPS:,} are allowed")
    return result


def _scalar(value: Any) -> Any:
    """Return a value that can be inserted in a text."""
    if isinstance(value, str | int | float | Undefined):
        return value
    if value is None:
        raise SecurityError("a value is null; test it with {% if ... %}, or use the filter default(..., true)")
    raise SecurityError(f"a {type(value).__name__} cannot be inserted in a text; take an element, or use the filter join")


def _text(value: Any) -> str:
    return str(_scalar(value))


def _join(values: Any, separator: str = "") -> str:
    return join_texts(values, separator, as_text=_text)


TEXT_FILTERS: dict[str, Callable[..., Any]] = {
    "capitalize": lambda value: _text(value).capitalize(),
    "join": _join,
    "lower": lambda value: _text(value).lower(),
    "replace": lambda value, old, new: replace_text(_text(value), old, new),
    "reverse": lambda value: value[::-1],
    "string": _text,
    "title": lambda value: _text(value).title(),
    "trim": lambda value: _text(value).strip(),
    "upper": lambda value: _text(value).upper(),
    "_concatenate": _join,
}
"""Filters of texts. Those of the library convert lists to texts, whose size cannot be bounded."""


def _check_source(source: str) -> None:
    if len(source) > MAX_SOURCE:
        raise SecurityError(f"it has {len(source):,} characters; at most {MAX_SOURCE:,} are allowed")


def _parse(source: str) -> nodes.Template:
    _check_source(source)
    return _Environment().parse(source)


def _compile_errors(key: str) -> Callable[[Callable[[], Any]], Any]:
    """Return a function that calls another one, and converts its errors to a ConfigError."""

    def call(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except TemplateSyntaxError as error:
            raise ConfigError(f"{key}: line {error.lineno}: {error.message}") from None
        except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:
            message = error.message if isinstance(error, TemplateError) else "it is nested too deeply"
            raise ConfigError(f"{key}: {message}") from None

    return call


def _evaluate(environment: _Environment, function: Callable[[], Any], row: Mapping[str, Any], *, where: str, key: str) -> Any:
    environment.start()
    try:
        return function()
    except (TemplateError, LookupError, ArithmeticError, TypeError, ValueError, AttributeError, RecursionError) as error:
        message = str(error).partition("\n")[0] or type(error).__name__
        fields = f"; the fields are {', '.join(row)}" if "is undefined" in message else ""
        raise DataError(f"{where}: {key}: {message}{fields}") from None
