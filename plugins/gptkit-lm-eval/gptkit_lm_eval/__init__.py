"""`task=lm_eval`: the tasks of lm-evaluation-harness, run by gptkit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from gptkit import hookimpl
from gptkit.constraints import at_least, not_empty, texts
from gptkit.errors import ConfigError
from gptkit.task import TaskConfig

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.task.base import Task


@dataclass
class LMEvalConfig(TaskConfig):
    """A task of lm-evaluation-harness, defined by its YAML file: its prompts, examples and metrics, with gptkit's models.

    A task file with `!function` names Python code, which is executed if `names` contains the task. Code in
    other files is not executed.
    """

    name: str = "lm_eval"
    names: Annotated[list[str], "a task of the harness, or the path of its YAML file", not_empty] = field(default_factory=list)
    include_path: Annotated[
        Any, "a folder of task files, or a list of them; null: the tasks of the harness, most of which download their data", texts
    ] = None
    num_fewshot: Annotated[int | None, "number of examples in context; null: that of the task", at_least(0)] = None
    fewshot_seed: Annotated[int, "seed of the examples in context", at_least(0)] = 1234
    limit: Annotated[int, "evaluate only the first documents of a task, this many; 0: all", at_least(0)] = 0
    unsafe_code: Annotated[bool, "allow tasks that execute code which the model has written"] = False

    def build(self, *, data: DataConfig | None = None) -> Task:
        """Load the task and its documents.

        Raises:
            ConfigError: there is no task of this name, or more than one, or the task cannot be evaluated.
            DataError: a task file or its documents cannot be read.
        """
        if data is not None:
            raise ConfigError(f"task=lm_eval reads the documents that the task file names; remove data={data.name}")
        from gptkit_lm_eval.task import load_task

        return load_task(self)


@hookimpl
def gptkit_task() -> list[type[TaskConfig]]:
    return [LMEvalConfig]
