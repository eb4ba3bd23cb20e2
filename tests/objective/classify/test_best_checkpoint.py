"""The best checkpoint of a fine-tuning run is the one with the best metric of the task."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch


@pytest.mark.parametrize("task", ["classification", "entailment", "similarity", "multiple_choice"])
def test_the_checkpoint_with_the_highest_accuracy_is_best(task: str, build: Any) -> None:
    objective = build(task)
    assert objective.checkpoint_value(3.0, {"accuracy": 0.9, "f1": 0.1}) < objective.checkpoint_value(
        1.0, {"accuracy": 0.8, "f1": 0.9}
    )


def test_the_regression_checkpoint_with_the_highest_pearson_correlation_is_best(build: Any) -> None:
    objective = build("regression")
    assert objective.checkpoint_value(3.0, {"pearson": 0.5, "squared_error": 9.0}) < objective.checkpoint_value(
        1.0, {"pearson": -0.5, "squared_error": 1.0}
    )


@pytest.mark.parametrize("task", ["classification", "regression", "multiple_choice"])
def test_checkpoints_are_ranked_by_the_first_metric(task: str, build: Any, source: Any, examples: Any, model_of: Any) -> None:
    objective = build(task)
    batch = objective.datasets(source(examples[task], examples[task]), validation_fraction=0.0)["validation"].batch([0, 1, 2])
    model = model_of(objective).eval()
    with torch.no_grad():
        _, measured = objective.eval().loss(model, batch)
    judged = objective.compute_metrics({name: value for name, value in measured.items() if value.dim()})
    rank = objective.checkpoint_value(math.inf, judged)
    assert rank == -next(iter(judged.values()))


def test_without_metrics_checkpoints_are_ranked_by_loss(build: Any) -> None:
    assert build("regression").checkpoint_value(1.5, {}) == 1.5
