"""Requirements, averages over groups, the numbers of papers, and short names of models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gptkit.command.eval_models import model_names
from gptkit.errors import ConfigError
from gptkit.evaluation.intervals import Metric, add_intervals
from gptkit.evaluation.runner import Results
from gptkit.evaluation.table.paper_results import PaperResult, parameters_of, read_paper
from gptkit.evaluation.table.requirements import Requirement, is_lower_better, metric_names, read_requirements
from gptkit.evaluation.table.task_groups import TaskGroup, average, check_units
from gptkit.task import ArithmeticConfig
from gptkit.task.base import Columns


def mean(columns: Columns) -> dict[str, float]:
    return {"score": float(columns["score"].mean())}


def test_averages_have_the_interval_of_the_resampled_tasks() -> None:
    generator = np.random.default_rng(1)
    tasks = [generator.normal(0.5, 0.2, size) for size in (50, 400, 900)]
    metrics = [add_intervals(Results(mean({"score": task}), {"score": task}, 0, 0), mean)["score"] for task in tasks]
    averages = average(metrics, [len(task) for task in tasks])
    assert averages["macro"].value == pytest.approx(np.mean([task.mean() for task in tasks]))
    assert averages["micro"].value == pytest.approx(np.concatenate(tasks).mean())
    for name, expected in (
        ("macro", [np.mean([generator.choice(task, len(task)).mean() for task in tasks]) for _ in range(4000)]),
        ("micro", [np.concatenate([generator.choice(task, len(task)) for task in tasks]).mean() for _ in range(4000)]),
    ):
        low, high = averages[name].low, averages[name].high
        assert low is not None and high is not None
        assert high - low == pytest.approx(np.subtract(*np.quantile(expected, [0.975, 0.025])), rel=0.08)


def test_average_without_an_interval_of_a_task_has_none() -> None:
    averages = average([Metric(0.5), Metric(1.0, 0.9, 1.0, 0.1)], [1, 3])
    assert (averages["macro"], averages["micro"]) == (Metric(0.75), Metric(0.875))


@pytest.mark.parametrize("other", ["word_perplexity", "bleu"])
def test_metrics_of_different_units_are_not_averaged(other: str) -> None:
    metrics = {"piqa": "accuracy", "drop": "f1", "x": other, "y": other}
    check_units([TaskGroup("a", ("piqa", "drop", "unknown")), TaskGroup("b", ("x", "y"))], metrics)
    with pytest.raises(
        ConfigError, match=f"^groups.c averages accuracy of piqa and {other} of x, which have different units; remove one"
    ):
        check_units([TaskGroup("c", ("piqa", "x"))], metrics)


def test_number_of_the_nearest_model_is_chosen() -> None:
    paper = PaperResult("table 3", {"accuracy": {"117M": 0.1, "345M": 0.2, "1542M": 0.3}})
    for parameters, model in (
        (10_000, "117M"),
        (124_439_808, "117M"),
        (300_000_000, "345M"),
        (7 * 10**9, "1542M"),
        (None, "1542M"),
    ):
        value = paper.nearest("accuracy", parameters)
        assert value is not None and value.model == model
    assert paper.nearest("f1", None) is None


def test_sizes_are_numbers_of_parameters() -> None:
    assert [parameters_of(size) for size in ("117M", "1.3B", "175B")] == [117e6, 1.3e9, 175e9]
    with pytest.raises(ValueError, match="many is not a number of parameters"):
        parameters_of("many")


def test_null_removes_a_number_of_a_paper() -> None:
    paper = read_paper({"source": "table 3", "accuracy": {"117M": None, "1542M": 0.5}}, path="paper")
    assert paper == PaperResult("table 3", {"accuracy": {"1542M": 0.5}})


def test_requirements_are_limits_in_the_direction_of_the_metric() -> None:
    assert [name for name in ("accuracy", "f1", "word_perplexity", "bits_per_byte", "brier") if is_lower_better(name)] == [
        "word_perplexity",
        "bits_per_byte",
        "brier",
    ]
    accuracy, perplexity = read_requirements({"accuracy": 0.5, "wiki": {"word_perplexity": 20}})
    assert (accuracy, perplexity) == (Requirement("accuracy", 0.5), Requirement("word_perplexity", 20.0, "wiki"))
    results = {"piqa": {"accuracy": 0.5}, "boolq": {"accuracy": math.nan}, "wiki": {"word_perplexity": 20.5}}
    assert list(accuracy.failures(results)) == ["boolq: accuracy is nan, and require.accuracy asks for at least 0.5"]
    assert list(perplexity.failures(results)) == [
        "wiki: word_perplexity is 20.5, and require.wiki.word_perplexity asks for at most 20"
    ]


def test_names_of_metrics_are_known_without_a_model() -> None:
    assert metric_names(ArithmeticConfig(kinds=["2D+", "2D-"], examples=2).build()) == ["accuracy", "2D+", "2D-"]


@pytest.mark.parametrize(
    ("checkpoints", "names"),
    [
        (["runs/x"], ["x"]),
        (["runs/x", "hf:org/model-1.5"], ["x", "model-1.5"]),
        (["a/run/last", "b/run/last"], ["a-run-last", "b-run-last"]),
        (["../x", "y/"], ["x", "y"]),
        (["runs/a b", "runs/ü:c"], ["a_b", "c"]),
        (["x/y-z", "x-y/z"], ["y-z", "z"]),
    ],
)
def test_models_have_short_names_that_differ(checkpoints: list[str], names: list[str]) -> None:
    assert model_names(checkpoints) == dict(zip(names, checkpoints, strict=True))


def test_model_is_not_given_twice() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        model_names(["runs/x", "runs/x"])
