"""The settings of the command `compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.command.base import Command
from gptkit.constraints import not_empty, one_of


@dataclass
class CompareCommand(Command):
    """Compare two results of gptkit eval item by item: differences of metrics with intervals and tests.

    Differences of the protocols are a warning. Of two folders of results, the tasks in common are compared, and p-values are
    adjusted over tasks by Holm's method.
    """

    verb: ClassVar[str] = "compare"

    a: Annotated[str, "the first result: a folder of gptkit eval to=<folder>, or a folder of such folders", not_empty] = MISSING
    b: Annotated[str, "the second result; differences are b - a", not_empty] = MISSING
    explain: Annotated[
        bool,
        "for two results of the same weights: evaluate again, and print what each setting adds to the difference",
    ] = False
    to: Annotated[str | None, "the folder for a page with the items that changed, report.html; null: no page", not_empty] = None
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def execute(self, folder: Path) -> Any:
        from gptkit.command.compare import compare

        return compare(self)
