"""The protocol of an evaluation: everything that determines its results. Two results can be compared if their protocols agree."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gptkit.evaluation.runner import item_ids

if TYPE_CHECKING:
    from gptkit.task import TaskConfig
    from gptkit.task.base import Item, Task
    from gptkit.task.comparison import Subject


def evaluation_protocol(config: TaskConfig, task: Task, subject: Subject, *, seed: int) -> dict[str, Any]:
    """Return the protocol as plain JSON values. The size of batches does not belong to it."""
    settings = dataclasses.asdict(config)
    settings.pop("data", None)
    parameter = next(subject.model.parameters())
    return {
        "task": settings,
        "boundary": task.boundary,
        "prefix": task.prefix,
        "seed": seed,
        "precision": str(parameter.dtype).removeprefix("torch."),
        "device": parameter.device.type,
        "context": subject.model.context,
        "items": items_fingerprint(task.items()),
        "weights": weights_fingerprint(subject.model),
        "tokenizer": subject.tokenizer.fingerprint,
        "gptkit": version("gptkit"),
    }


def items_fingerprint(items: Sequence[Item]) -> str:
    """Return the SHA-256 (hexadecimal) of the requests and targets of all items."""
    return hashlib.sha256(" ".join(item_ids(items)).encode()).hexdigest()


def weights_fingerprint(model: nn.Module) -> str:
    """Return the SHA-256 (hexadecimal) of the names, shapes and values of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
