"""Metrics that an evaluation must reach (`require=`), which makes it fit for continuous integration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptkit.errors import ConfigError, did_you_mean
from gptkit.task.base import Task
from gptkit.task.requests import Answer, Generation, GenerationAnswer, LogLikelihoodAnswer

LOWER_IS_BETTER = ("perplexity", "bits_per", "loss", "brier", "calibration_error")
"""Parts of the names of metrics that are better if they are lower; a requirement is their upper limit."""

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Requirement:
    """The value that a metric must reach."""

    metric: str
    value: float
    task: str | None = None
    """None: every task that has the metric."""

    @property
    def key(self) -> str:
        """Its configuration key."""
        return ".".join(filter(None, ("require", self.task, self.metric)))

    def failures(self, results: Mapping[str, Metrics]) -> Iterator[str]:
        """Yield one description per task that does not reach the value."""
        for task, metrics in results.items():
            if self.metric not in metrics or self.task not in (None, task):
                continue
            measured, is_upper = metrics[self.metric], is_lower_better(self.metric)
            if not (measured <= self.value if is_upper else measured >= self.value):  # a metric that is not finite fails
                limit = "at most" if is_upper else "at least"
                yield f"{task}: {self.metric} is {measured:.6g}, and {self.key} asks for {limit} {self.value:.6g}"


def is_lower_better(metric: str) -> bool:
    """Whether a metric is better if it is lower, such as a perplexity."""
    return any(part in metric for part in LOWER_IS_BETTER)


def read_requirements(require: Mapping[str, Any]) -> list[Requirement]:
    """Return the requirements of a mapping such as `{accuracy: 0.6}` or `{piqa: {accuracy: 0.6}}`.

    Raises:
        ConfigError: a value is not a number.
    """
    requirements = []
    for name, value in require.items():
        if isinstance(value, Mapping):
            requirements += [Requirement(metric, _number(f"require.{name}.{metric}", each), name) for metric, each in value.items()]
        elif value is not None:
            requirements.append(Requirement(name, _number(f"require.{name}", value)))
    return requirements


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{key}={value} must be a number")
    return float(value)


def check_requirements(requirements: Sequence[Requirement], metrics: Mapping[str, Sequence[str] | None]) -> None:
    """Check that each requirement names a task and a metric that exist.

    Args:
        requirements: the requirements.
        metrics: the names of the metrics of each task; None if they are not known yet.

    Raises:
        ConfigError: a task or metric does not exist. The message names the nearest one.
    """
    for each in requirements:
        if each.task is not None and each.task not in metrics:
            raise ConfigError(f"{each.key}: there is no task {each.task}.{did_you_mean(each.task, metrics)}")
        names = [metrics[each.task]] if each.task is not None else list(metrics.values())
        known = [name for some in names if some is not None for name in some]
        if each.metric in known or None in names:
            continue
        hint = did_you_mean(each.metric, known) or f" The metrics are {', '.join(dict.fromkeys(known))}."
        raise ConfigError(f"{each.key}: there is no metric {each.metric}{f' of {each.task}' if each.task else ''}.{hint}")


def metric_names(task: Task) -> list[str] | None:
    """Return the names of the metrics of a task without a model, by scoring made-up answers to its first item.

    Returns None if the task cannot score them.
    """
    try:
        item = task.items()[0]
        answers: list[Answer] = [
            GenerationAnswer("") if isinstance(request, Generation) else LogLikelihoodAnswer((-1.0,), False, 0, False)
            for request in item.requests
        ]
        with np.errstate(all="ignore"):
            return list(task.aggregate({name: np.array([value]) for name, value in task.score(item, answers).items()}))
    except Exception:  # of any task, also of a plugin; the metrics are checked after the evaluation instead
        return None
