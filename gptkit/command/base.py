"""The base class of commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gptkit.parts import Part


@dataclass
class Command(Part):
    """A command of the command line. The dataclass is its schema, and `execute` implements it.

    Subclass it, set `verb`, add fields, implement `execute`, and ship a primary configuration `conf/<verb>.yaml` that begins with
    `- command/<verb>`.
    """

    verb: ClassVar[str] = ""
    writes_folder: ClassVar[bool] = False
    bare_words: ClassVar[str] = ""
    """the key, a list of texts, whose values can also be typed as plain words, without `key=`; empty: there is none"""

    def execute(self, folder: Path) -> Any:
        """Run the command.

        Args:
            folder: the run folder, `hydra.run.dir`. Commands that only read do not create it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement execute()")
