"""Helpers for tests of the command line: the types of the fixture `gptkit_command`, and `compose_settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass
class CommandResult:
    """Exit status and output of one command line."""

    status: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The text on standard error, which must be a single line."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        return lines[0]


class GptkitCommand(Protocol):
    """Runs `gptkit <words>` in this process."""

    def __call__(self, *words: str) -> CommandResult: ...


def compose_settings(verb: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Any:
    """Returns the settings of a composed run as Any, because their attributes depend on the verb."""
    import gptkit

    return gptkit.compose(verb, overrides).settings
