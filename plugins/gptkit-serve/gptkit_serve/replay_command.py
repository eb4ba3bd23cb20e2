"""The settings of the command `replay`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.command import Command
from gptkit.constraints import not_empty, one_of


@dataclass
class ReplayCommand(Command):
    """Generate an answer of `gptkit serve` again, from its receipt, and compare the tokens."""

    verb: ClassVar[str] = "replay"

    id: Annotated[str, "the id of the answer", not_empty] = MISSING
    receipts: Annotated[str, "the file that gptkit serve wrote", not_empty] = "receipts.jsonl"
    checkpoint: Annotated[str | None, "the model, if it is no longer where it was; null: as in the receipt", not_empty] = None
    format: Annotated[str, "text or json (one line per answer)", one_of("text", "json")] = "text"

    def execute(self, folder: Path) -> Any:
        from gptkit_serve.replay import replay

        return replay(self)
