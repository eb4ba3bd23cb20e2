"""The tasks of an evaluation of several tasks: their settings, their files, and the results of papers beside them."""

from __future__ import annotations

import dataclasses
import glob
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError, GptkitError
from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.table.paper_results import PaperResult, read_paper
from gptkit.evaluation.task_evaluation import PreparedTask, TaskEvaluation, prepare_task
from gptkit.plugins import registry
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task import TaskConfig

EXAMPLE = "{name: choice, data: {path: piqa.jsonl}}"


@dataclass(frozen=True)
class TaskRow:
    """A task of an evaluation of several tasks."""

    name: str
    """The key of the task, which is the name of its folder."""
    evaluation: TaskEvaluation
    paper: PaperResult | None = None
    missing: str | None = None
    """A file that a row of a paper's table reads, but that does not exist; such a row is not evaluated."""

    def prepare(self) -> PreparedTask:
        """Build the task and read its examples.

        Raises:
            GptkitError: see `prepare_task`. The message names the task.
        """
        try:
            return prepare_task(self.evaluation)
        except GptkitError as error:
            raise type(error)(f"tasks.{self.name}: {error}") from None


MakeEvaluation = Callable[["TaskConfig", "DataConfig | None", FewShotConfig], TaskEvaluation]


def read_rows(tasks: Mapping[str, Any], *, root: str | None, fewshot: FewShotConfig, make: MakeEvaluation) -> list[TaskRow]:
    """Return the rows of a mapping of tasks. Null entries are skipped.

    An entry has the settings of the task with its `name`, and may have `data` (the settings of a source; the default `name` is the
    source of the task), `fewshot` and `paper`. Only the files of rows with `paper` may be missing.

    Args:
        tasks: the entries by name.
        root: the folder of the files; None: the working directory.
        fewshot: the examples in context of rows that do not set their own.
        make: returns what decides the results of a row.

    Raises:
        ConfigError: an entry is not a task of one model, or its settings are invalid. The message names the key.
    """
    return [
        _read_row(name, content, root=root, fewshot=fewshot, make=make) for name, content in tasks.items() if content is not None
    ]


def _read_row(name: str, content: Any, *, root: str | None, fewshot: FewShotConfig, make: MakeEvaluation) -> TaskRow:
    path = f"tasks.{name}"
    if not re.fullmatch(r"\w[\w+-]*(\.[\w+-]+)*", name):
        raise ConfigError(f"{path}: {name!r} cannot be the name of a folder; use letters, digits, _, + and -")
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}={content} must be the settings of a task, such as {EXAMPLE}")
    own = {key: value for key, value in content.items() if key not in ("data", "fewshot", "paper")}
    task = registry().resolve("task", own, path=path, example=EXAMPLE)
    if task.compares or task.judged:
        raise ConfigError(
            f"{path}: task={task.name} compares two models or needs a judge; run it alone: gptkit eval task={task.name}"
        )
    data = _read_data(content.get("data"), task, root, path=f"{path}.data")
    own_fewshot = _read_few_shot(content.get("fewshot"), fewshot, root, path=f"{path}.fewshot")
    paper = read_paper(content.get("paper"), path=f"{path}.paper")
    missing = (
        _missing_file(getattr(data, "path", None), getattr(data, "target", None), own_fewshot.path) if paper is not None else None
    )
    return TaskRow(name, make(task, data, own_fewshot), paper, missing)


def _read_data(content: Any, task: TaskConfig, root: str | None, *, path: str) -> DataConfig | None:
    if content is None:
        return None
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}={content} must be the settings of a source, such as {{path: piqa.jsonl}}")
    if "name" not in content and not task.source:
        raise ConfigError(f"{path}: task={task.name} generates its problems and reads no data; remove data")
    settings = {"name": task.source, **content}
    for key in ("path", "target", "validation", "test"):
        if key in settings:
            settings[key] = _below(root, settings[key])
    data: DataConfig = registry().resolve("data", settings, path=path)
    return data


def _read_few_shot(content: Any, default: FewShotConfig, root: str | None, *, path: str) -> FewShotConfig:
    if content is None:
        return default
    known = [each.name for each in dataclasses.fields(FewShotConfig)]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}={content} must be the settings of examples in context, such as {{k: 5}}")
    own: FewShotConfig = _merge_few_shot(content, default, known, path=path)
    return own if own.path is None or "path" not in content else dataclasses.replace(own, path=_below(root, own.path))


def _merge_few_shot(content: Mapping[str, Any], default: FewShotConfig, known: list[str], *, path: str) -> FewShotConfig:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gptkit.constraint_checks import check_constraints
    from gptkit.errors import did_you_mean, wrong_type_message

    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"there is no key {path}.{key}.{did_you_mean(str(key), known)}")
        if getattr(default, key) not in (getattr(FewShotConfig(), key), value):
            raise ConfigError(
                f"fewshot.{key}={getattr(default, key)}, but {path}.{key}={value}; set {path}.{key} alone, or remove it"
            )
    try:
        merged = OmegaConf.merge(OmegaConf.structured(default), dict(content))
        check_constraints(merged, path)
        own: FewShotConfig = OmegaConf.to_object(merged)  # type: ignore[assignment]
    except (OmegaConfBaseException, ValueError) as error:
        text = str(error).partition("\n")[0]
        key = f"{path}.{getattr(error, 'full_key', '') or ''}".rstrip(".")
        raise ConfigError(wrong_type_message(key, text) or f"{key}: {text}") from error
    return own


def _below(root: str | None, path: Any) -> Any:
    """Return a path, or a list of paths, below a folder; absolute paths are unchanged."""
    if isinstance(path, list | tuple):
        return [_below(root, each) for each in path]
    return path if root is None or not isinstance(path, str) else str(expand_path(root) / expand_path(path))


def _missing_file(*paths: Any) -> str | None:
    """Return the first path that does not exist, or None. A pattern exists if it matches a file."""
    for path in paths:
        for each in path if isinstance(path, list | tuple) else [path]:
            if isinstance(each, str) and not expand_path(each).exists() and not glob.glob(str(expand_path(each))):
                return str(Path(each))
    return None
