"""Runs tasks with a model of bigrams, and with answerers that need no model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from gptkit.evaluation.runner import evaluate
from gptkit.model.base import Model
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, LogLikelihoodAnswer
from tests.small_models import TOKENIZER, Bigrams

WriteTable = Callable[[str], dict[str, Any]]


@pytest.fixture
def table(tmp_path: Path) -> WriteTable:
    """`table(text)`: the settings of a source of the labelled examples in the text of a .csv file."""

    def write(text: str) -> dict[str, Any]:
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")
        return {"name": "labelled", "path": str(tmp_path / "a.csv")}

    return write


@pytest.fixture
def questions(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`questions(row, ...)`: the settings of a source of multiple choice questions."""

    def write(*rows: dict[str, Any], name: str = "choices") -> dict[str, Any]:
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {"name": name, "path": str(tmp_path / "a.jsonl")}

    return write


def metrics_of(config: Any, text: str) -> dict[str, float]:
    """The metrics of a task for a model that has read the text."""
    return evaluate(config.build(), Subject(cast(Model, Bigrams(text)), TOKENIZER)).metrics


def metrics_of_answers(task: Task, choose: Callable[[Item], int]) -> dict[str, float]:
    """The metrics of a task if the request with the number `choose(item)` gets a probability of 1, and all others nearly 0."""
    import numpy as np

    rows = []
    for item in task.items():
        chosen = choose(item)
        answers: list[Answer] = [
            LogLikelihoodAnswer((0.0,) if number == chosen else (-50.0,), number == chosen) for number in range(len(item.requests))
        ]
        rows.append(task.score(item, answers))
    return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})
