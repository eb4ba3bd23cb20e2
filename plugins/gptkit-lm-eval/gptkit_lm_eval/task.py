"""A task of lm-evaluation-harness as a task of gptkit: the harness builds the requests and scores the responses."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from importlib.metadata import version
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import mean

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.task.base import Columns, Item, Task
from gptkit.task.requests import Answer
from gptkit_lm_eval.instances import to_request, to_response
from gptkit_lm_eval.task_files import load_harness_task

if TYPE_CHECKING:
    from gptkit_lm_eval import LMEvalConfig


def load_task(settings: LMEvalConfig) -> LMEvalTask:
    """Load the task of `settings.names`, which must be a single one.

    Raises:
        ConfigError: there is no such task, or the task cannot be evaluated.
        DataError: a task file or its documents cannot be read.
    """
    task = load_harness_task(settings)
    shots = settings.num_fewshot
    if shots is None:
        shots = task.get_config("num_fewshot") or 0
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(settings.fewshot_seed)
    with reading(task.task_name), contextlib.redirect_stderr(io.StringIO()):  # which shows the harness's progress
        task.build_all_requests(limit=settings.limit or None)
    return LMEvalTask(task)


class LMEvalTask(Task):
    """One item per document. Boundary and prefix token are those of the harness, which are the default of `Task`."""

    def __init__(self, task: Any) -> None:
        """
        Args:
            task: a `Task` of the harness whose requests have been built.

        Raises:
            ConfigError: the task needs more than text.
        """
        self._task = task
        self.scoring = {"lm_eval": version("lm_eval"), "task": task.task_name, "version": _plain(task.VERSION)}
        self._instances: dict[str, list[Instance]] = {}
        for instance in task.instances:
            self._instances.setdefault(f"{task.task_name}, document {instance.doc_id}", []).append(instance)
        self._items = [self._item(where, instances) for where, instances in self._instances.items()]

    def _item(self, where: str, instances: list[Instance]) -> Item:
        instances.sort(key=lambda instance: instance.idx)
        requests = [to_request(instance) for instance in instances for _ in range(instance.repeats or 1)]
        with reading(where):
            target = _plain(self._task.doc_to_target(instances[0].doc))
        return Item(tuple(requests), target, where)

    def items(self) -> Sequence[Item]:
        return self._items

    def instances(self, item: Item) -> list[Instance]:
        """Return the harness's requests of an item."""
        return self._instances[item.where]

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        instances = self._instances[item.where]
        responses = iter([to_response(request, answer) for request, answer in zip(item.requests, answers, strict=True)])
        for instance in instances:
            instance.resps = [next(responses) for _ in range(instance.repeats or 1)]
        scores: dict[str, float] = {}
        with reading(item.where):
            self._task._instances = instances
            self._task.apply_filters()
            for name in instances[0].filtered_resps:
                metrics = self._task.process_results(instances[0].doc, [each.filtered_resps[name] for each in instances])
                for metric, value in metrics.items():
                    scores |= self._columns(metric if name == "none" else f"{metric},{name}", value)
        return scores

    def _columns(self, key: str, value: Any) -> dict[str, float]:
        """Return a number under its name, and the numbers of a pair under two names."""
        values = value if isinstance(value, tuple) else (value,)
        if len(values) > 2 or not all(isinstance(each, Real | np.bool_) for each in values):
            raise ConfigError(
                f"task {self._task.task_name} computes {key.partition(',')[0]} from the texts of all documents at once; "
                "evaluate it with gptkit-lm-eval --model gptkit"
            )
        if len(values) == 1:
            return {key: float(values[0])}
        return {f"{key}[{index}]": float(each) for index, each in enumerate(values)}

    def aggregate(self, scores: Columns) -> dict[str, float]:
        """Return the metrics, computed by the harness's functions."""
        metrics: dict[str, float] = {}
        for name, values in scores.items():
            key, _, index = name.partition("[")
            if index == "1]":
                continue
            function = self._task.aggregation().get(key.partition(",")[0], mean)
            is_pair = index == "0]"
            items = list(zip(_numbers(values), _numbers(scores[f"{key}[1]"]), strict=True)) if is_pair else values.tolist()
            metrics[key] = float(function(items))
        return metrics


def _numbers(values: Any) -> list[float | int]:
    """Return numbers as Python objects; integers, such as the numbers of classes, as int."""
    return [int(value) if value == int(value) else value for value in values.tolist()]


def _plain(value: Any) -> Any:
    """Return a JSON value."""
    return json.loads(json.dumps(value, default=str))


@contextlib.contextmanager
def reading(what: str) -> Any:
    """Convert errors of a task file's templates and functions to a DataError of one line."""
    try:
        yield
    except GptkitError:
        raise
    except Exception as error:  # of many types, and often of many lines
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{what}: {type(error).__name__}{': ' if reason else ''}{reason}; check the task file") from error
