"""Sweeps without jobs, or with too many jobs, are errors."""

from __future__ import annotations

import pytest

from gptkit.config.overrides import check_sweep_size
from gptkit.errors import ConfigError
from tests.command_line import GptkitCommand


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["seed=range(0,0)"], "has no values"),
        (["seed=range(5,1)"], "has no values"),
        (["optimizer.lr=range(0.5,0.1)"], "has no values"),
        (["attention=glob(nothing*)"], "has no values"),
        (["seed=glob(*)"], "seed is not a group"),
        (["seed=range(0,1000000000000)"], r"1,000,000,000,000 jobs .* at most 10,000"),
        (["seed=range(0,200)", "optimizer.lr=range(0,1,0.01)"], r"20,000 jobs .*seed=range\(0,200\) has 200 values"),
        (["optimizer.lr=range(0,1,0)"], "its step must lead"),
    ],
)
def test_a_sweep_without_jobs_or_with_too_many_is_an_error(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_sweep_size(words)


@pytest.mark.parametrize(
    "words",
    [
        ["seed=1,2,3"],
        ["seed=range(3,0,-1)"],
        ["attention=glob(*)"],
        ["+gpt2=124m,355m", "optimizer.lr=choice(1e-3,1e-4)"],
        ["hydra/sweeper=optuna", "seed=range(0,1000000000000)", "optimizer.lr=interval(1e-4,1e-2)"],
    ],
)
def test_valid_sweeps_pass(words: list[str]) -> None:
    check_sweep_size(words)


def test_the_command_line_reports_an_empty_sweep_in_one_line(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("train", "-m", "seed=range(0,0,1)")
    assert outcome.status == 2
    assert outcome.error_line == "gptkit: seed=range(0,0,1) has no values, so the sweep would have no jobs"
