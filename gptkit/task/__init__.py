"""Evaluation tasks: the contract. The kit brings none yet; plugins may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.task.built import BuiltTask


@dataclass
class Task(Part):
    """An evaluation: examples, how a model answers them, how answers are scored.

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.task.built.BuiltTask`.
    """

    name: str = ""

    def build(self) -> BuiltTask:
        """Open the task's examples."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@hookimpl
def gptkit_task() -> list[type[Task]]:
    return []
