"""The protocol of an evaluation: everything that determines its results. Two results can be compared if their protocols agree."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gptkit.evaluation.runner import item_ids

if TYPE_CHECKING:
    from gptkit.evaluation.answerer import Answerer
    from gptkit.task import TaskConfig
    from gptkit.task.base import Item, Task


def evaluation_protocol(config: TaskConfig, task: Task, answerer: Answerer, *, seed: int) -> dict[str, Any]:
    """Return the protocol as plain JSON values. The size of batches does not belong to it."""
    settings = dataclasses.asdict(config)
    settings.pop("data", None)
    return {
        "task": settings,
        "seed": seed,
        "items": items_fingerprint(task.items()),
        **answerer.protocol(task),
        "gptkit": version("gptkit"),
        **({"scoring": dict(task.scoring)} if task.scoring else {}),
    }


def items_fingerprint(items: Sequence[Item]) -> str:
    """Return the SHA-256 (hexadecimal) of the requests and targets of all items."""
    return hashlib.sha256(" ".join(item_ids(items)).encode()).hexdigest()
