"""Paired differences: known values, slow obvious versions, and the errors of the tests over many simulated comparisons."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import permutation_test

from gptkit.evaluation.comparison.paired import PairedDifference, adjust_holm, adjust_over_tasks, mcnemar, paired_differences
from gptkit.task.base import Columns
from gptkit.task.matthews import matthews


def means(columns: Columns) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in columns.items()}


def perplexity(columns: Columns) -> dict[str, float]:
    return {"perplexity": math.exp(-float(columns["log_prob"].sum() / columns["tokens"].sum()))}


def correlation(columns: Columns) -> dict[str, float]:
    return {"matthews": matthews(columns["accepted"] > 0, columns["acceptable"] > 0)}


def compare(a: list[float] | np.ndarray, b: list[float] | np.ndarray) -> PairedDifference:
    return paired_differences({"score": np.array(a, float)}, {"score": np.array(b, float)}, means)["score"]


def test_identical_results_do_not_differ() -> None:
    generator = np.random.default_rng(0)
    for values in (generator.integers(0, 2, 50).astype(float), generator.normal(size=50)):
        result = compare(values, values)
        assert (result.difference, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)
        assert (result.higher, result.lower, result.equal) == (0, 0, 50)
    columns = {"log_prob": generator.normal(-9, 1, 40), "tokens": generator.integers(3, 9, 40).astype(float)}
    result = paired_differences(columns, columns, perplexity)["perplexity"]
    assert (result.difference, result.low, result.high, result.p_value, result.equal) == (0.0, 0.0, 0.0, 1.0, 40)


@pytest.mark.parametrize(
    ("higher", "lower", "p_value"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (5, 0, 2 / 32),
        (1, 7, 2 * (1 + 8) / 256),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
    ],
)
def test_mcnemar_by_hand(higher: int, lower: int, p_value: float) -> None:
    assert mcnemar(higher, lower) == pytest.approx(p_value)
    result = compare([0.0] * higher + [1.0] * lower + [1.0] * 9, [1.0] * higher + [0.0] * lower + [1.0] * 9)
    assert result.p_value == pytest.approx(p_value)
    assert (result.test, result.higher, result.lower, result.equal) == ("mcnemar", higher, lower, 9)
    assert result.difference == pytest.approx((higher - lower) / (higher + lower + 9))


def test_few_items_are_tested_exactly() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=9), generator.normal(0.4, 1, size=9)
    sums = [sum(np.array(signs) * (b - a)) for signs in itertools.product((-1, 1), repeat=9)]
    expected = np.mean([abs(value) >= abs(sum(b - a)) - 1e-12 for value in sums])
    assert compare(a, b).p_value == pytest.approx(expected)
    assert compare(a, b).test == "permutation"


def test_many_items_agree_with_the_permutation_test_of_scipy() -> None:
    generator = np.random.default_rng(2)
    a = generator.normal(size=300)
    b = a + generator.normal(0.05, 0.5, size=300)
    theirs = permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        batch=1000,
        rng=np.random.default_rng(3),
    )
    assert compare(a, b).p_value == pytest.approx(theirs.pvalue, abs=0.015)


def test_interval_is_the_one_of_the_standard_error_of_the_paired_differences() -> None:
    generator = np.random.default_rng(4)
    a = generator.normal(0, 3, size=2000)
    b = a + generator.normal(0.1, 0.5, size=2000)
    result = compare(a, b)
    error = (b - a).std(ddof=1) / math.sqrt(2000)
    assert result.low == pytest.approx(result.difference - 1.96 * error, abs=0.25 * error)
    assert result.high == pytest.approx(result.difference + 1.96 * error, abs=0.25 * error)
    assert result.p_value is not None
    assert result.p_value < 0.001  # although the two means have intervals of +- 0.13


@pytest.mark.parametrize("aggregate", [perplexity, correlation])
def test_metric_that_is_no_mean_is_aggregated_again(aggregate: object) -> None:
    generator = np.random.default_rng(5)
    acceptable = generator.integers(0, 2, 120).astype(float)
    a = {"log_prob": generator.normal(-9, 1, 120), "tokens": generator.integers(3, 9, 120).astype(float)}
    a |= {"acceptable": acceptable, "accepted": np.where(generator.random(120) < 0.6, acceptable, 1 - acceptable)}
    b = a | {"log_prob": a["log_prob"] + 0.4, "accepted": np.where(generator.random(120) < 0.95, acceptable, 1 - acceptable)}
    compute = perplexity if aggregate is perplexity else correlation
    (result,) = paired_differences(a, b, compute).values()
    (value_a,), (value_b,) = compute(a).values(), compute(b).values()
    assert (result.a, result.b, result.difference) == (value_a, value_b, value_b - value_a)
    resampler = np.random.default_rng(0)
    slow = []
    for _ in range(1000):
        rows = resampler.integers(120, size=120)
        (one,), (other,) = (compute({name: values[rows] for name, values in columns.items()}).values() for columns in (a, b))
        slow.append(other - one)
    assert result.low == pytest.approx(np.quantile(slow, 0.025), rel=1e-12)
    assert result.high == pytest.approx(np.quantile(slow, 0.975), rel=1e-12)
    assert result.p_value == 0.001
    if compute is perplexity:
        assert (result.higher, result.lower, result.equal) == (0, 120, 0)


def test_metric_that_is_not_finite_has_no_p_value() -> None:
    columns = {"log_prob": np.full(5, -2.0)}
    result = paired_differences(columns, columns, lambda columns: {"perplexity": math.inf})["perplexity"]
    assert (result.p_value, result.low, result.high) == (None, None, None)


def test_level_is_kept_when_there_is_no_difference() -> None:
    generator = np.random.default_rng(6)
    p_values: dict[str, list[float]] = {"mcnemar": [], "permutation": []}
    for _ in range(400):
        level = generator.random(60)
        binary = [(generator.random(60) < level).astype(float) for _ in "ab"]
        skewed = [generator.exponential(size=60) for _ in "ab"]
        for one, other in (binary, skewed):
            result = compare(one, other)
            assert result.p_value is not None
            p_values[result.test].append(result.p_value)
    for values in p_values.values():
        assert len(values) == 400
        assert np.mean(np.array(values) <= 0.05) <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 400)


def test_holm_by_hand() -> None:
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm([0.5, 0.9]) == [1.0, 1.0]
    assert adjust_holm([0.2]) == [0.2]
    assert adjust_holm([]) == []


def test_tasks_are_adjusted_by_their_main_metrics() -> None:
    better = {"accuracy": compare([0.0] * 9, [1.0] * 9), "f1": compare([0.0] * 9, [1.0] * 9)}
    same = {"accuracy": compare([1.0] * 9, [1.0] * 9)}
    adjusted = adjust_over_tasks({"first": better, "second": same, "none": {}})
    assert adjusted["first"]["accuracy"].adjusted_p_value == pytest.approx(2 * 2 / 512)
    assert adjusted["first"]["f1"].adjusted_p_value is None
    assert adjusted["second"]["accuracy"].adjusted_p_value == 1.0
    assert adjusted["none"] == {}
