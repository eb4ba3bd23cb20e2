"""Calibration: errors and bins beside a slow computation, torchmetrics, and models whose calibration is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from gptkit.evaluation.calibration import (
    BRIER,
    EQUAL_MASS,
    EQUAL_WIDTH,
    ERROR,
    Calibration,
    calibration,
    equal_width_bins,
    option_probabilities,
)
from gptkit.evaluation.task_evaluation import TaskEvaluation, evaluate_task, prepare_task
from gptkit.plugins import registry
from gptkit.task.comparison import Subject
from tests.small_models import TOKENIZER, random_model

ERROR_EQUAL_MASS = f"{ERROR}_{EQUAL_MASS}"


def random_items(items: int = 300, *, seed: int = 0) -> tuple[list[tuple[float, ...]], list[int]]:
    """Probabilities of two to five options, and targets that they predict to some degree."""
    generator = np.random.default_rng(seed)
    probabilities = [option_probabilities(list(generator.normal(size=generator.integers(2, 6)) * 2)) for _ in range(items)]
    return probabilities, [int(generator.choice(len(each), p=np.sqrt(each) / np.sqrt(each).sum())) for each in probabilities]


def slow_error(probabilities: list[tuple[float, ...]], targets: list[int], bins: int) -> float:
    """The expected calibration error with bins of equal width, option by option."""
    pairs = [(p, n == target) for each, target in zip(probabilities, targets, strict=True) for n, p in enumerate(each)]
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [(p, right) for p, right in pairs if low <= p < high or (number == bins - 1 and p == 1.0)]
        if inside:
            confidence = math.fsum(p for p, _ in inside) / len(inside)
            frequency = sum(right for _, right in inside) / len(inside)
            error += len(inside) / len(pairs) * abs(confidence - frequency)
    return error


def test_errors_equal_a_slow_computation_and_torchmetrics() -> None:
    probabilities, targets = random_items()
    result = calibration(probabilities, targets)
    assert result.metrics[ERROR].value == pytest.approx(slow_error(probabilities, targets, 10), abs=1e-12)
    flat = torch.tensor([p for each in probabilities for p in each], dtype=torch.float64)
    right = torch.tensor([n == target for each, target in zip(probabilities, targets, strict=True) for n in range(len(each))])
    theirs = binary_calibration_error(flat, right.int(), n_bins=10, norm="l1")
    assert result.metrics[ERROR].value == pytest.approx(float(theirs), abs=1e-6)
    assert result.options == len(flat)
    brier = np.mean(
        [sum((p - (n == target)) ** 2 for n, p in enumerate(each)) for each, target in zip(probabilities, targets, strict=True)]
    )
    assert result.metrics[BRIER].value == pytest.approx(float(brier), abs=1e-12)


def test_bins_of_equal_mass_have_equally_many_options() -> None:
    probabilities, targets = random_items()
    result = calibration(probabilities, targets)
    sizes = [each.options for each in result.bins[EQUAL_MASS]]
    assert sum(sizes) == result.options
    assert max(sizes) - min(sizes) <= 1
    assert [each.low for each in result.bins[EQUAL_MASS]] == sorted(each.low for each in result.bins[EQUAL_MASS])
    expected = sum(each.options * abs(each.probability - each.frequency) for each in result.bins[EQUAL_MASS])  # type: ignore[operator]
    assert result.metrics[ERROR_EQUAL_MASS].value == pytest.approx(expected / result.options)


def test_bins_of_equal_width_contain_their_lower_ends() -> None:
    assert equal_width_bins(np.array([0.0, 0.0999, 0.1, 0.3, 0.7, 0.95, 1.0])).tolist() == [0, 0, 1, 3, 7, 9, 9]
    bins = calibration([(0.05, 0.95)], [1]).bins[EQUAL_WIDTH]
    assert [each.options for each in bins] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[9].probability, bins[9].frequency, bins[5].probability) == (0.95, 1.0, None)


def values_of(result: Calibration) -> dict[str, float]:
    return {name: metric.value for name, metric in result.metrics.items()}


def test_an_oracle_is_calibrated_and_one_that_is_certain_and_wrong_is_not() -> None:
    certain = [(1.0, 0.0, 0.0, 0.0)] * 20
    assert values_of(calibration(certain, [0] * 20)) == {ERROR: 0.0, ERROR_EQUAL_MASS: 0.0, BRIER: 0.0}
    wrong = values_of(calibration(certain, [1] * 20))
    assert (wrong[ERROR], wrong[BRIER]) == (0.5, 2.0)  # half of the options are wrong by 1: the first two


def test_uniform_probabilities_are_calibrated() -> None:
    result = values_of(calibration([(0.25,) * 4] * 40, [n % 4 for n in range(40)]))
    assert result[ERROR] == 0.0
    assert result[BRIER] == pytest.approx(0.75)


def test_a_true_probability_has_a_small_error_whose_interval_contains_little_more() -> None:
    generator = np.random.default_rng(1)
    probabilities = [option_probabilities(list(generator.normal(size=4))) for _ in range(5000)]
    result = calibration(probabilities, [int(generator.choice(4, p=each)) for each in probabilities])
    assert result.metrics[ERROR].value < 0.02
    low, high = result.metrics[ERROR].low, result.metrics[ERROR].high
    assert low is not None and high is not None and low <= high < 0.04


def test_probabilities_are_a_softmax_that_does_not_overflow() -> None:
    assert option_probabilities([-1000.0, -1000.0]) == (0.5, 0.5)
    assert option_probabilities([0.0, -2000.0]) == (1.0, 0.0)


def test_results_have_the_calibration_also_after_an_interruption(tmp_path: Path) -> None:
    rows = [{"query": f"Is {n} even?", "choices": ["yes", "no", "so"], "gold": n % 2} for n in range(12)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings: dict[str, Any] = {"name": "choice", "data": {"name": "choices", "path": str(path)}}
    prepared = prepare_task(TaskEvaluation(registry().resolve("task", settings)))
    subject = Subject(random_model(), TOKENIZER)
    content = evaluate_task(prepared, subject, to=str(tmp_path / "evals")).content["calibration"]
    assert content["options"] == 36
    assert set(content["metrics"]) == {ERROR, ERROR_EQUAL_MASS, BRIER}
    assert [len(content["bins"][name]) for name in (EQUAL_WIDTH, EQUAL_MASS)] == [10, 10]
    results = (tmp_path / "evals" / "results.json").read_bytes()
    lines = (tmp_path / "evals" / "items.jsonl").read_text().splitlines(keepends=True)
    assert len(json.loads(lines[0])["option_scores"]) == 3
    (tmp_path / "evals" / "results.json").unlink()
    (tmp_path / "evals" / "items.jsonl").write_text("".join(lines[:5]))
    evaluate_task(prepared, subject, to=str(tmp_path / "evals"))
    assert (tmp_path / "evals" / "results.json").read_bytes() == results


def test_draws_are_averaged_and_an_interval_resamples_items_with_all_their_draws() -> None:
    probabilities, targets = random_items(100)
    once, twice = calibration(probabilities, targets), calibration([*probabilities, *probabilities], targets)
    assert twice.options == 2 * once.options
    for name in (ERROR, BRIER):
        one, other = once.metrics[name], twice.metrics[name]
        assert other.value == pytest.approx(one.value)
        assert other.low == pytest.approx(one.low)
        assert other.high == pytest.approx(one.high)
