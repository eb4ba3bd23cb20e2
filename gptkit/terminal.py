"""Text on its way to people: nothing that a terminal would obey instead of showing.

File names, data, answers of a model and texts of plugins may hold escape sequences, which move the cursor, rename the window or
turn the direction of writing around. They are shown as `\\u001b`, as JSON writes them.
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
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters of C0 and C1, but for the tab and the end of a line
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # directions of writing, and ends of lines that are none
    "\ud800-\udfff\U000e0000-\U000e007f]"  # halves of pairs, of bytes that are no text; invisible tags
)


def printable(text: str) -> str:
    """The text with what a terminal would obey written out; ends of lines and tabs stay."""
    return _UNSAFE.sub(lambda match: _escape_character(match[0]), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same, with the ends of its lines written out, too."""
    return printable(text).replace("\n", "\\n")


def shorten_middle(text: str, longest: int) -> str:
    """The text without its middle, where it is longer than that; the end often says what to do."""
    if len(text) <= longest:
        return text
    return f"{text[: longest * 3 // 4]} ... {text[-longest // 4 :]}"


def _escape_character(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def print_text(text: str, stream: IO[str] | None = None) -> None:
    """Print a text for people, on standard output unless told otherwise."""
    _write(printable(text) + "\n", stream or sys.stdout)


def write_result(text: str) -> None:
    """Write a result to standard output as it is; where that is a terminal, as it can be shown."""
    _write(printable(text) if sys.stdout.isatty() else text, sys.stdout)


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
    """Standard output, or standard error, cannot be written: a full disk."""


class PrintableFormatter(logging.Formatter):
    """Log lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def make_console(**options: Any) -> Console:
    """Returns a Rich console for tables and progress bars that makes the text of cells and titles printable.

    Args:
        options: of `rich.console.Console`.
    """
    return _console_class()(**options)


@functools.cache
def _console_class() -> type[Console]:
    from rich.console import Console, ConsoleOptions, RenderableType  # slow to import, and most command lines print plain text
    from rich.segment import Segment

    class PrintableConsole(Console):
        """Colours and cursor movements are those of Rich; text is made printable."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

        def on_broken_pipe(self) -> None:
            """Leaves it to the command line, as for any other output: Rich would end the process."""
            raise BrokenPipeError

    return PrintableConsole
