"""What the report says of reinforcement that goes wrong."""

from __future__ import annotations

import numpy as np
import pytest

from gptkit.training.record.collapses import collapse_verdicts
from gptkit.training.record.figures import Curves


def said(**columns: list[float]) -> dict[str, str]:
    """Level of every verdict by its title, of validations with these columns."""
    rows = {"tokens": list(range(len(columns["score"]))), **{f"val/{name}": values for name, values in columns.items()}}
    return {one.title: one.level for one in collapse_verdicts(Curves({name: np.array(each, float) for name, each in rows.items()}))}


HEALTHY = {"score": [-1.0, 0.0, 1.0], "kl": [1.0, 4.0, 9.0], "length": [20.0, 18.0, 22.0], "judge": [0.1, 0.3, 0.5]}


def test_a_healthy_run_shows_none() -> None:
    assert said(**HEALTHY) == {"No sign of a collapse": "good"}


@pytest.mark.parametrize(
    ("wrong", "title", "level"),
    [
        ({"judge": [0.1, 0.5, 0.2]}, "The reward rises while the judge falls", "bad"),
        ({"length": [20.0, 30.0, 41.0]}, "The length of responses has drifted", "note"),
        ({"length": [20.0, 10.0, 5.0]}, "The length of responses has drifted", "note"),
        ({"kl": [1.0, 20.0, 80.0]}, "The policy has left its reference", "bad"),
    ],
)
def test_a_collapse_is_named(wrong: dict[str, list[float]], title: str, level: str) -> None:
    assert said(**{**HEALTHY, **wrong}) == {title: level}


def test_a_judge_that_falls_with_the_reward_is_no_such_thing() -> None:
    assert "The reward rises while the judge falls" not in said(**{**HEALTHY, "score": [0.0, 2.0, 1.0], "judge": [0.1, 0.5, 0.2]})


def test_runs_without_reinforcement_and_first_validations_get_none() -> None:
    assert said(score=[1.0], kl=[0.0]) == {}
    assert collapse_verdicts(Curves({"tokens": np.array([1.0]), "val/loss": np.array([2.0])})) == []
