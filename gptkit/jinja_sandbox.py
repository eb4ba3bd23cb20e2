"""The sandbox in which templates in Jinja2 are rendered: those of chats, and those over the fields of rows.

The sandbox of Jinja2 refuses access to Python. What remains could still run for ever or fill the memory, so the steps and the time
of loops and calls, and the size of texts, lists and numbers are bounded here.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from jinja2 import Environment, nodes, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_CHARACTERS = 10_000_000
"""Maximum length of a text or a list that a template computes."""
MAX_SECONDS = 10.0
"""Maximum time of all loops and calls of one rendering."""
MAX_BITS = 4096
"""Maximum size of a whole number."""
MAX_WIDTH = 10_000
"""Maximum width of a field that is padded with spaces."""

PADDING_METHODS = ("center", "expandtabs", "ljust", "rjust", "zfill")
WIDE_PERCENT_FIELD = re.compile(r"%[^a-zA-Z%]*(\*|\d{5})")
WIDE_BRACE_FIELD = re.compile(r"\{[^{}]*(\{|\d{5})")
UNBOUNDED_FILTERS = ("batch", "center", "pprint", "slice", "urlize", "wordwrap", "xmlattr")
"""Filters of Jinja2 that can return values much larger than their arguments. Chat templates do not use them."""


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """An environment whose templates end soon, and compute only values of limited size."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))
    max_steps = 10_000_000
    """Maximum number of steps of all loops, and of calls, of one rendering."""

    def __init__(self, **options: Any) -> None:
        """
        Args:
            options: see `jinja2.Environment`.
        """
        super().__init__(**{"finalize": checked, **options})
        self.concat = join_texts  # type: ignore[method-assign]  # joins what templates, macros and blocks write
        self.globals.pop("lipsum", None)
        for name in UNBOUNDED_FILTERS:
            self.filters.pop(name, None)
        self.filters.update(BOUNDED_FILTERS)
        self.filters["_steps"] = self._count_steps
        self._rendering = threading.local()
        self.start()

    def start(self) -> None:
        """Begin a rendering in this thread: no loop has made a step."""
        self._rendering.steps, self._rendering.deadline = 0, time.monotonic() + MAX_SECONDS

    def bound(self, node: nodes.Template) -> nodes.Template:
        """Return a parsed template with counted loops and bounded concatenations."""
        self._bound(node)
        return node

    def _bound(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self._bound(child)
        for name, value in list(node.iter_fields()):
            if isinstance(value, list):
                value[:] = [_bounded_concatenation(each) for each in value]
            else:
                setattr(node, name, _bounded_concatenation(value))
        if isinstance(node, nodes.For):
            node.iter = _filter("_steps", node.iter)

    def _count_steps(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._count_step()
            yield value

    def _count_step(self) -> None:
        self._rendering.steps += 1
        if self._rendering.steps > self.max_steps:
            raise SecurityError(f"loops and calls make more than {self.max_steps:,} steps")
        if time.monotonic() > self._rendering.deadline:
            raise SecurityError(f"loops and calls take longer than {MAX_SECONDS:.0f} seconds")

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if getattr(value, "__name__", "") in ("format", "format_map") and isinstance(getattr(value, "__self__", None), str):
            wrapped = super().wrap_str_format(value)
            return None if wrapped is None else _bounded_format(value.__self__, wrapped)
        return super().wrap_str_format(value)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # the names of the base class
        __self._count_step()  # macros and recursive loops are calls
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, int | bytes) or (isinstance(owner, str) and __obj.__name__ == "encode"):
            raise SecurityError(f"{__obj.__name__}() cannot be called in a template")
        if isinstance(owner, str):
            args = _check_method(owner, __obj.__name__, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, int) and isinstance(right, int):
            bits = {"*": left.bit_length() + right.bit_length(), "**": left.bit_length() * max(1, abs(right))}
            if bits.get(operator, 0) > MAX_BITS:
                raise SecurityError(f"the result of {operator} has too many digits")
        elif operator == "*":
            for values, count in ((left, right), (right, left)):
                if isinstance(values, str | list | tuple) and isinstance(count, int):
                    check_size(len(values) * count)
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            check_size(len(left) + len(right))
        elif operator == "%" and isinstance(left, str):
            values = right.values() if isinstance(right, dict) else right if isinstance(right, tuple) else (right,)
            _check_format(WIDE_PERCENT_FIELD, left, values)
        return super().call_binop(context, operator, left, right)


def check_size(size: int) -> None:
    """Raises: SecurityError: a text or a list is too long."""
    if size > MAX_CHARACTERS:
        raise SecurityError(f"the text has more than {MAX_CHARACTERS:,} characters")


def join_texts(values: Iterable[Any], separator: str = "", *, as_text: Callable[[Any], str] = str) -> str:
    """Return values as one text.

    Args:
        as_text: converts a value to a text.

    Raises:
        SecurityError: the text is too long.
    """
    texts: list[str] = []
    size = 0
    for value in values:
        texts.append(as_text(value))
        size += len(texts[-1]) + len(separator)
        check_size(size)
    return separator.join(texts)


def replace_text(text: str, old: str, new: str) -> str:
    """Replace all occurrences. Raises: SecurityError: the text is too long."""
    _check_replacement(text, old, new)
    return text.replace(old, new)


def _check_replacement(text: str, old: str, new: str) -> None:
    check_size(len(text) + text.count(old) * len(new))


def checked(value: Any) -> Any:
    """Return a value that a template writes."""
    check_size(_size(value))
    return value


def _size(value: Any) -> int:
    """Return a lower bound of the number of characters of a value as text, which is exact up to MAX_CHARACTERS if it is smaller."""
    size, waiting = 0, [value]
    while waiting and size <= MAX_CHARACTERS:
        each = waiting.pop()
        size += len(each) if isinstance(each, str) else 2 if isinstance(each, list | tuple | dict | set) else 1
        if isinstance(each, dict):
            waiting += (*each.keys(), *each.values())
        elif isinstance(each, list | tuple | set):
            waiting += each
    return size


def _check_format(wide_field: re.Pattern[str], text: str, values: Iterable[Any]) -> None:
    """Check the widths of the fields of a format, and its size if all of them held the longest value.

    Raises:
        SecurityError: it could be too long.
    """
    if wide_field.search(text):
        raise SecurityError(f"a field of a format is wider than {MAX_WIDTH:,} characters, or as wide as a value says")
    longest = max((_size(value) for value in values), default=0)
    check_size(len(text) + (text.count("%") + text.count("{")) * longest)


def _bounded_format(text: str, function: Callable[..., str]) -> Callable[..., str]:
    def call(*args: Any, **kwargs: Any) -> str:
        _check_format(WIDE_BRACE_FIELD, text, (*args, *kwargs.values()))
        return function(*args, **kwargs)

    return call


def _check_width(*widths: Any) -> None:
    if any(isinstance(width, int) and width > MAX_WIDTH for width in widths):
        raise SecurityError(f"a width is more than {MAX_WIDTH:,} characters")


def _check_method(text: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of a method of a text. Raises: SecurityError: the result could be too long."""
    if name in PADDING_METHODS:
        _check_width(*args, *kwargs.values())
    elif name == "join" and args:
        values = list(args[0])
        check_size(sum(len(value) + len(text) for value in values if isinstance(value, str)))
        return (values, *args[1:])
    elif name == "replace" and len(args) > 1 and all(isinstance(value, str) for value in args[:2]):
        _check_replacement(text, args[0], args[1])
    elif name == "translate":
        raise SecurityError("translate() cannot be called in a template")
    return args


def _filter(name: str, value: nodes.Node) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, value), name, [], [], None, None, lineno=value.lineno)


def _bounded_concatenation(node: Any) -> Any:
    """Return a node that checks the size of a text before it concatenates; any other value as it is."""
    if isinstance(node, nodes.Concat):
        return _filter("_concatenate", nodes.List(node.nodes, lineno=node.lineno))
    return node


def _format(text: str, *args: Any, **kwargs: Any) -> Any:
    _check_format(WIDE_PERCENT_FIELD, str(text), (*args, *kwargs.values()))
    return FILTERS["format"](text, *args, **kwargs)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> Any:
    check_size(len(text) + (text.count("\n") + 1) * (len(width) if isinstance(width, str) else width))
    return FILTERS["indent"](text, width, first, blank)


@pass_environment
def _join(environment: Environment, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    return join_texts(values if attribute is None else map(make_attrgetter(environment, attribute), values), d)


def _replace(value: Any, old: str, new: str, count: int | None = None) -> str:
    text = str(value)
    if count is not None and count >= 0:
        check_size(len(text) + count * len(new))
        return text.replace(old, new, count)
    return replace_text(text, old, new)


BOUNDED_FILTERS: dict[str, Callable[..., Any]] = {
    "_concatenate": join_texts,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
}
