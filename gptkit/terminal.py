"""Make text safe to print on a terminal by escaping control characters.

File names, data, generated text and messages of plugins may contain escape sequences, which move the cursor, rename the window or
reverse the writing direction. They are printed as `\\u001b`, as in JSON.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from gptkit.errors import GptkitError

if TYPE_CHECKING:
    from rich.console import Console

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 control characters, except tab and newline
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # writing directions, and Unicode line separators
    "\ud800-\udfff\U000e0000-\U000e007f]"  # surrogates, from bytes that are not text; invisible tags
)


def printable(text: str) -> str:
    """Escape control characters in a text, except newlines and tabs."""
    return _UNSAFE.sub(lambda match: _escape_character(match[0]), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Escape control characters in a text, including newlines."""
    return printable(text).replace("\n", "\\n")


def shorten_middle(text: str, longest: int) -> str:
    """Remove the middle of a text that is longer than `longest` characters. Keeps the end, which often says what to do."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} ... {text[-longest // 4 :]}"


def _escape_character(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def print_text(text: str, stream: IO[str] | None = None) -> None:
    """Print a text with control characters escaped, to standard output by default."""
    _write(printable(text) + "\n", stream or sys.stdout)


def write_result(text: str) -> None:
    """Write a result to standard output: unchanged, or with control characters escaped if it is a terminal."""
    _write(printable(text) if sys.stdout.isatty() else text, sys.stdout)


def write_printable(text: str) -> None:
    """Write a text that is already escaped, such as a table with Rich's colours, unchanged to standard output."""
    _write(text, sys.stdout)


def _write(text: str, stream: IO[str]) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if stream is sys.stdout else "standard error"
        raise OutputError(f"{name}: cannot be written ({error.strerror})") from error


class OutputError(GptkitError):
    """Standard output or standard error cannot be written, for example because the disk is full."""


class PrintableFormatter(logging.Formatter):
    """A log formatter that escapes control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def make_console(**options: Any) -> Console:
    """Return a Rich console for tables and progress bars that escapes control characters in their text.

    Args:
        options: arguments of `rich.console.Console`.
    """
    return _console_class()(**options)


@functools.cache
def _console_class() -> type[Console]:
    from rich.console import Console, ConsoleOptions, RenderableType  # slow to import; most command lines print plain text
    from rich.segment import Segment

    class PrintableConsole(Console):
        """Keeps Rich's own colours and cursor movements; escapes control characters in text."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

        def on_broken_pipe(self) -> None:
            """Raise the error for the command line to handle, whereas Rich would end the process."""
            raise BrokenPipeError

    return PrintableConsole
