"""The pool of solved examples of a task, and the task with examples for one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.evaluation.few_shot.task import FewShotTask, FixedExamplesTask
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.evaluation.answerer import Answerer
    from gptkit.evaluation.config import FewShotConfig
    from gptkit.task import TaskConfig
    from gptkit.task.base import Item, Task


def example_pool(fewshot: FewShotConfig, config: TaskConfig, data: DataConfig | None, task: Task) -> Sequence[Item]:
    """Return the items that examples in context are drawn from: those of `fewshot.path`, or else of the task.

    Args:
        fewshot: the settings of the examples.
        config: the settings of the task.
        data: the source of the evaluated items, if it is not the task's own.
        task: the task.

    Raises:
        ConfigError: `fewshot.path` is set, but the task reads no files.
        DataError: the files cannot be read.
    """
    path = fewshot.path
    if path is None:
        return task.pool()
    if not config.source:
        raise ConfigError(f"task={config.name} reads no files; remove fewshot.path={path}")
    if data is not None and hasattr(data, "path"):
        changes: dict[str, Any] = {"path": path}
        changes |= {name: None for name in ("validation", "test", "target") if hasattr(data, name)}
        data = dataclasses.replace(data, **changes)
    else:
        data = registry().resolve("data", {"name": config.source, "path": path})
    all_examples: dict[str, Any] = {"examples": 0} if hasattr(config, "examples") else {}
    built: Any = dataclasses.replace(config, **all_examples).build(data=data)
    pool: Sequence[Item] = built.pool()
    return pool


def with_examples(task: Task, pool: Sequence[Item], fewshot: FewShotConfig, answerer: Answerer, *, seed: int) -> FewShotTask:
    """Return the task with `fewshot.k` examples before every item, as many as fit the context."""
    return FewShotTask(
        task, pool, k=fewshot.k, separator=fewshot.separator, seed=seed, sampler=fewshot.sampler, fits=answerer.fits(task)
    )


def with_fixed_examples(
    task: Task, examples: Mapping[str, Sequence[Item]], fewshot: FewShotConfig, answerer: Answerer
) -> FixedExamplesTask:
    """Return the task with the same examples of each group before every item, as many as fit the context."""
    return FixedExamplesTask(task, examples, k=fewshot.k, separator=fewshot.separator, fits=answerer.fits(task))
