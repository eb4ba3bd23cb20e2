"""`gptkit eval require=`: metrics are checked by name before the evaluation, and by value after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gptkit.errors import GptkitError
from gptkit.evaluation.table.requirements import Requirement, check_requirements, metric_names

if TYPE_CHECKING:
    from gptkit.evaluation.task_evaluation import PreparedTask

AVERAGES = ("macro", "micro")
"""The metrics of a group of tasks."""


def check_known_metrics(requirements: Sequence[Requirement], tasks: Mapping[str, PreparedTask], groups: Sequence[str] = ()) -> None:
    """Check the names of the required metrics before models are loaded. Those of several samples are known afterwards.

    Raises:
        ConfigError: a task or metric does not exist.
    """
    if requirements:
        names = {name: metric_names(each.task) if each.settings.samples == 1 else None for name, each in tasks.items()}
        check_requirements(requirements, {**names, **dict.fromkeys(groups, AVERAGES)})


def check_measured(requirements: Sequence[Requirement], results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Check the values of the required metrics.

    Args:
        requirements: the requirements.
        results: the metrics by model (empty: there is one), by task or group, and by name.

    Raises:
        ConfigError: a metric does not exist.
        GptkitError: a metric does not reach its value. The message has what was measured and required.
    """
    failures = []
    for model, tasks in results.items():
        check_requirements(requirements, {task: list(metrics) for task, metrics in tasks.items()})
        of_model = f" of {model}" if model and len(results) > 1 else ""
        failures += [
            failure.replace(" is ", f"{of_model} is ", 1) for requirement in requirements for failure in requirement.failures(tasks)
        ]
    if failures:
        raise GptkitError("; ".join(failures))
