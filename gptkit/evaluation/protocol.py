"""The protocol of an evaluation: everything that determines its results. Two results can be compared if their protocols agree."""

from __future__ import annotations

import dataclasses
import hashlib
import json
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


def differing_values(one: Any, other: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """Return the dotted keys of two protocols whose values differ, with both values; None stands for a missing one."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys([*one, *other])
        return [each for name in names for each in differing_values(one.get(name), other.get(name), f"{key}.{name}".lstrip("."))]
    return [] if one == other else [(key, one, other)]


def short_value(value: Any) -> str:
    """Return a value of a protocol as JSON, with the middle left out if it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:18]}...{text[-12:]}"
