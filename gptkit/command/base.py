"""The base class of commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gptkit.parts import Part


@dataclass
class Command(Part):
    """A verb of the command line: the dataclass is its schema, `run` does it.

    Subclass it, give `verb` a value, add fields, write `run`, and ship a primary configuration
    `conf/<verb>.yaml` that begins with `- command/<verb>`.
    """

    verb: ClassVar[str] = ""
    writes_folder: ClassVar[bool] = False

    def run(self, folder: Path) -> Any:
        """Do it.

        Args:
            folder: the run folder, `hydra.run.dir`; verbs that only read never touch it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement run()")
