"""The table on standard output that compares runs, best first."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gptkit.terminal import make_console, print_text
from gptkit.training.reporting.comparison import ComparedRun
from gptkit.training.reporting.config_difference import round_numbers
from gptkit.training.reporting.ranking import format_cell, rank, summary_columns

_MIN_WIDTH = 160
"""The table on a terminal is at least as wide, and as wide as its longest words: it is easier to read than broken words."""

_UNLIMITED = 100_000


def print_comparison(runs: Sequence[ComparedRun], keys: Sequence[str], *, noun: str = "run") -> None:
    """Print the runs to standard output. In a pipe, every run is one line.

    Args:
        runs: the runs, in the order that breaks ties.
        keys: keys of their labels to show.
        noun: the name of a row: "run" or "job".
    """
    ranked, columns = rank(runs), summary_columns(runs)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (noun, *keys, *columns, "status", "folder"):
        table.add_column(printable_text(column), overflow="fold")
    values = [round_numbers([run.labels.get(key, "") for run in ranked]) for key in keys]
    for number, run in enumerate(ranked):
        metrics = [format_cell(column, run.summary) for column in columns]
        status = f"{run.status}: {run.messages[0]}" if run.messages else run.status
        cells = (run.name, *(column[number] for column in values), *metrics, status, str(run.folder))
        table.add_row(*map(printable_text, cells))
    wide = make_console(width=_UNLIMITED, markup=False)
    if sys.stdout.isatty():
        longest_words = Measurement.get(wide, wide.options, table).minimum
        make_console(width=max(make_console().width, _MIN_WIDTH, longest_words), markup=False).print(table)
        return
    with wide.capture() as captured:
        wide.print(table)
    print_text("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_page_path(text: str) -> None:
    """Print the path of a page to standard error, in one line."""
    make_console(stderr=True, soft_wrap=True, markup=False).print(printable_text(text), highlight=False)


def printable_text(text: str) -> Text:
    """Make text safe for a terminal: no markup, control characters escaped."""
    return Text("".join(character if character.isprintable() else ascii(character)[1:-1] for character in text))
