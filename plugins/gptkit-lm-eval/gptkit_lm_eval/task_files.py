"""The task files of lm-evaluation-harness: finds the task of a name, and reads its documents."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval.tasks import TaskManager

from gptkit.errors import ConfigError, DataError, did_you_mean
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptkit_lm_eval import LMEvalConfig


def load_harness_task(settings: LMEvalConfig) -> Any:
    """Return the harness's task of `settings.names`, which must be a single one.

    Raises:
        ConfigError: there is no such task, or it executes code that the model has written.
        DataError: a task file or its documents cannot be read.
    """
    tasks = load_harness_tasks(settings)
    if len(tasks) > 1:
        sweep = ",".join(f"[{name}]" for name in list(tasks)[:10])
        raise ConfigError(
            f"task.names={_listed(settings.names)} names {len(tasks)} tasks, but a task is evaluated by itself; for all of them: "
            f"gptkit eval -m task.names={sweep}{',...' if len(tasks) > 10 else ''}"
        )
    (task,) = tasks.values()
    return task


def load_harness_tasks(settings: LMEvalConfig) -> dict[str, Any]:
    """Return the tasks of all names, groups and tags, by name. The Python code of other task files is not executed.

    Raises:
        ConfigError: there is no task of a name, or a task executes code that the model has written.
        DataError: a task file or its documents cannot be read.
    """
    manager = _manager(settings.include_path)
    for name in settings.names:
        if name not in manager.task_index and not Path(expand_path(name)).is_file():
            where = "lm-evaluation-harness" if settings.include_path is None else f"task.include_path={settings.include_path}"
            raise ConfigError(f"task.names: there is no task {name} in {where}.{did_you_mean(name, manager.all_tasks)}".rstrip("."))
    tasks: dict[str, Any] = {}
    for name in settings.names:
        with _one_line_errors(name):
            tasks |= manager.load([name if name in manager.task_index else str(expand_path(name))])["tasks"]
    for name, task in tasks.items():
        if getattr(task, "UNSAFE_CODE", False) and not settings.unsafe_code:
            raise ConfigError(f"task {name} executes code that the model writes; set task.unsafe_code=true to allow it")
        if getattr(task, "MULTIMODAL", False):
            raise ConfigError(f"task {name} contains images or audio; gptkit evaluates text alone")
    return tasks


def _manager(include_path: Any) -> TaskManager:
    """Return the index of the task files. Indexing executes no code."""
    if include_path is None:
        return TaskManager()
    folders = [Path(expand_path(path)) for path in ([include_path] if isinstance(include_path, str) else include_path)]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"task.include_path={folder} is not a folder")
    return TaskManager(include_path=list(folders), include_defaults=False)


@contextlib.contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Convert the errors of the harness and of the datasets library to a DataError of one line, without progress bars."""
    import datasets

    was_enabled = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:  # of many types, and often of many lines
        reason = " ".join(str(error.__cause__ or error).split())[:300] or type(error).__name__
        raise DataError(f"task {name} of lm-evaluation-harness cannot be loaded: {reason}") from error
    finally:
        logger.setLevel(level)
        if was_enabled:
            datasets.enable_progress_bars()


def _listed(names: list[str]) -> str:
    return f"[{','.join(names)}]"
