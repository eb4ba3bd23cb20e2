"""The base classes of the configs of tasks, and the construction of mappings of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import SCORE, at_least, at_most, one_of
from gptkit.errors import ConfigError
from gptkit.parts import Part
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.data.base import Data
    from gptkit.task.base import Task
    from gptkit.task.comparison import Comparison


@dataclass
class TaskConfig(Part):
    """An evaluation of a model.

    Subclasses set `name` to a default, add fields and implement `build`. A task of one model returns a `gptkit.task.base.Task`,
    which turns records into requests to the model and scores the answers. An evaluation of two models sets `compares`, and returns
    a `gptkit.task.comparison.Comparison`.
    """

    source: ClassVar[str] = ""
    """The name of the data source that `gptkit eval` uses if keys such as `data.path` are set, but `data` is not."""
    compares: ClassVar[bool] = False
    """Whether the task compares the model with a second one (`against=`)."""
    generates: ClassVar[bool] = False
    """Whether the model generates texts, and no log-probabilities of given texts are needed."""
    judged: ClassVar[bool] = False
    """Whether the task needs a reward as a judge (`reward=`)."""

    name: str = ""

    def build(self, *, data: DataConfig | None = None) -> Task | Comparison:
        """Build the task and read its examples.

        Args:
            data: a source that replaces the task's own.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class SourceTaskConfig(TaskConfig):
    """Base class of the configs of tasks that read a data source. Not a part itself."""

    data: Annotated[dict[str, Any], "the settings of a source, with its `name`; replaced by data="] = field(default_factory=dict)
    examples: Annotated[int, "maximum number of examples, evenly spaced; 0: all", at_least(0)] = 0

    def build_data(self, data: DataConfig | None) -> Data:
        """Build the source of the examples: `data`, else the task's own.

        Raises:
            ConfigError: there is no source.
        """
        if data is None and "name" not in self.data:
            example = {"text": "text.txt", "labelled": "examples.tsv"}.get(self.source, "examples.jsonl")
            raise ConfigError(f"task={self.name} needs data, such as data.path={example}")
        return build_data(data or self.data)


Boundary = Annotated[
    str,
    "how context and continuation become tokens: separate (each by itself) or joint (both as one text, as in "
    "lm-evaluation-harness)",
    one_of("separate", "joint"),
]
Temperature = Annotated[float, "temperature of sampling; 0: greedy, or beam search", at_least(0), at_most(100)]
Prefix = Annotated[
    str, "when an end-of-text token precedes a context: always, or empty (only if it is empty)", one_of("always", "empty")
]
"""The types of two keys whose default depends on the task."""


@dataclass
class ExampleTaskConfig(SourceTaskConfig):
    """Base class of the configs of tasks that read labelled examples. Not a part itself.

    Uses the validation split, or all examples if the source has none.
    """

    boundary: Boundary = "separate"
    prefix: Prefix = "always"
    reference: Annotated[
        float | None,
        "also report a score that is 0 for random guessing and 1 for this score; null: do not",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None


def resolve_tasks(tasks: Mapping[str, Any], *, path: str, defaults: Mapping[str, Any] | None = None) -> dict[str, TaskConfig]:
    """Return the configs of a mapping of tasks that evaluate a single model. Null entries are skipped.

    Args:
        tasks: the settings of each task, under any key.
        path: the configuration key of the mapping, for errors.
        defaults: values of keys that a task has but does not set.

    Raises:
        ConfigError: a value is not a task, or a task needs a second model or a judge.
    """
    configs: dict[str, TaskConfig] = {}
    for name, content in tasks.items():
        if content is None:
            continue
        task = registry().resolve("task", content, path=f"{path}.{name}", example="{name: next_word}")
        if task.compares or task.judged:
            raise ConfigError(
                f"{path}.{name}: task={task.name} compares two models or needs a judge; run it alone: gptkit eval task={task.name}"
            )
        for key, value in (defaults or {}).items():
            if hasattr(task, key) and key not in content:
                setattr(task, key, value)
        configs[name] = task
    return configs


def build_tasks(tasks: Mapping[str, Any], *, path: str) -> dict[str, Task]:
    """Build a mapping of tasks that evaluate a single model; see `resolve_tasks`.

    Raises:
        ConfigError: a value is not a task, or a task needs a second model or a judge.
        DataError: the examples of a task cannot be read.
    """
    built: dict[str, Any] = {name: task.build() for name, task in resolve_tasks(tasks, path=path).items()}
    return built


def build_data(settings: DataConfig | Mapping[str, Any]) -> Data:
    """Build a data source from its config, or from a mapping with its `name`."""
    data: Data = registry().resolve("data", settings).build()
    return data
