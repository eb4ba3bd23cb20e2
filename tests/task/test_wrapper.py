"""Tasks that change another task keep everything else of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gptkit.evaluation.few_shot.draws import RemainingItems
from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.evaluation.samples import SampledTask
from gptkit.task import ArithmeticConfig
from gptkit.task.base import Task
from gptkit.task.wrapper import TaskWrapper

ATTRIBUTES: Mapping[str, Any] = {
    "boundary": "separate",
    "prefix": "always",
    "separator": "\n",
    "right_or_wrong": "accuracy",
    "has_groups": True,
    "excluded_words": ("the",),
    "scoring": {"sacrebleu": "2.0"},
}
WRAPPERS: Mapping[str, Callable[[Task], Task]] = {
    "few-shot": lambda task: FewShotTask(task, task.pool(), k=2),
    "remaining items": lambda task: RemainingItems(task, task.items()[1:]),
    "sampled": lambda task: SampledTask(task, 2),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_attributes_are_those_of_the_task(wrapper: str) -> None:
    assert set(Task.__annotations__) == set(ATTRIBUTES)
    task = ArithmeticConfig(kinds=["2D+"], examples=5, temperature=1.0).build()
    for name, value in ATTRIBUTES.items():
        setattr(task, name, value)
    wrapped = WRAPPERS[wrapper](task)
    expected = {**ATTRIBUTES, **({"right_or_wrong": None} if wrapper == "sampled" else {})}
    assert {name: getattr(wrapped, name) for name in ATTRIBUTES} == expected


def test_every_method_is_passed_on() -> None:
    methods = {name for name, _ in inspect.getmembers(Task, inspect.isfunction) if not name.startswith("_")}
    assert methods <= set(vars(TaskWrapper))
