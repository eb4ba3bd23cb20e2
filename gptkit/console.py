"""Rich's console for tables and progress, which shows what a terminal would obey in a cell or a title (see `gptkit.terminal`)."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from gptkit.terminal import printable


class Console(RichConsole):
    """Colours and the movements of a bar are Rich's own; texts are made printable."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, as with any other output: Rich would end the process."""
        raise BrokenPipeError
