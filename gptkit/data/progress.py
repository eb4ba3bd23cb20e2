"""Progress of long operations on standard error: a bar on a terminal, else a line every 30 seconds; nothing for short ones."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from gptkit.terminal import make_console

QUIET = 2.0
"""Seconds before progress is shown."""

LINE_EVERY = 30.0
"""Seconds between lines if there is no terminal."""


class Progress:
    """Context manager that shows the progress reported to `show`."""

    def __init__(self, title: str) -> None:
        self._title, self._console = title, make_console(stderr=True)
        self._start_time = self._last_line_time = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        return self

    def show(self, share: float | None, note: str) -> None:
        """Report progress.

        Args:
            share: share of the work that is done, between 0 and 1; None if unknown.
            note: further information to show.
        """
        now = time.monotonic()
        if now - self._start_time < QUIET:
            return
        if self._console.is_terminal:
            self._draw(share, note)
        elif now - self._last_line_time >= LINE_EVERY:
            self._last_line_time = now
            left = f"{share:.0%}, about {(now - self._start_time) * (1 - share) / share:.0f} s left, " if share else ""
            self._console.print(f"{self._title}: {left}{note}", highlight=False)

    def _draw(self, share: float | None, note: str) -> None:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.add_task(self._title, total=None if share is None else 1.0, note=note)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=share, note=note)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
