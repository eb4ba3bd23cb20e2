"""The diagnostics of a run's loss, length and speed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import diagnose_speed, diagnose_training, spike_count
from gptkit.training.reporting.environment import Environment
from tests.training.reporting.sample_environment import CPU

GUESSING = math.log(257)


def curves(train: list[float], val: dict[int, float] | None = None, norm: list[float] | None = None) -> Curves:
    """Return curves with one row per training loss at tokens 0, 1, 2 ..., and with validation losses by row."""
    count = len(train)
    held = [(val or {}).get(row, math.nan) for row in range(count)]
    columns = {"step": range(count), "tokens": range(count), "train/loss": train, "lr": [1e-3] * count, "val/loss": held}
    columns["grad_norm"] = norm or [1.0] * count
    return Curves({name: np.array(list(values), dtype=float) for name, values in columns.items()})


def levels(logged: Curves, **settings: object) -> dict[str, str]:
    """Return the level of each diagnostic by its title."""
    return {one.title: one.level for one in diagnose_training(logged, {"finished": True}, settings, GUESSING)}


FALLING = [5.5 * math.exp(-row / 40) + 2.0 for row in range(100)]


def test_normal_run_has_only_good_diagnostics() -> None:
    logged = curves([min(loss, 5.6) for loss in FALLING], {50: 3.6, 99: 2.5})
    assert set(levels(logged).values()) == {"good"}


def test_problems_have_bad_diagnostics() -> None:
    assert levels(curves([5.5, 4.0, math.nan, 3.0]))["The loss or the gradient is not finite"] == "bad"
    assert levels(curves([5.5] * 50))["The model is not better than guessing"] == "bad"
    assert levels(curves([50.0, 5.0, 3.0, 3.0]))["The first losses are worse than guessing"] == "bad"
    assert levels(curves(FALLING, {30: 2.5, 60: 2.2, 99: 2.6}))["The validation loss has turned upward"] == "note"
    assert levels(curves(FALLING, {99: 4.5}))["Validation is well above training"] == "note"
    spiky = [20.0 if row % 10 == 9 else 1.0 for row in range(100)]
    assert levels(curves(FALLING, norm=spiky))["10 gradient spikes"] == "note"


@pytest.mark.parametrize("guessing", [GUESSING, None])
@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ([4e8], 4e8),
        ([4e8, 3e8], 3e8),
        ([9e9 / (row + 1) for row in range(20)], 4e8),
        ([5.5, 5.4, 4e8], 4e8),
        ([3.0, *[3.6] * 20], 3.6),
        ([3.0 + row / 20 for row in range(20)], 3.9),
    ],
)
def test_absurd_or_rising_loss_has_no_good_diagnostic(train: list[float], validation: float, guessing: float | None) -> None:
    result = diagnose_training(curves(train, {len(train) - 1: validation}), {"finished": True}, {"init_from": "x"}, guessing)
    losses = [one for one in result if "loss" in one.title and not one.title.startswith("Every")]
    assert "bad" in {one.level for one in losses} and "good" not in {one.level for one in losses}
    if validation > 100:
        assert "Validation follows training" not in {one.title for one in result}


def test_reinforcement_learning_loss_gets_no_verdict() -> None:
    result = diagnose_training(curves([0.1, 5.0, 9.0]), {"finished": True, "seconds_generate": 1.0}, {}, None)
    assert "bad" not in {one.level for one in result}


def test_run_from_weights_may_start_above_the_uniform_loss() -> None:
    assert "The first losses are worse than guessing" not in levels(curves([50.0, 5.0, 3.0, 3.0]), init_from="runs/other")


def test_unfinished_run_names_the_command_that_continues_it() -> None:
    (last,) = diagnose_training(curves([5.0]), {"finished": False, "steps": 1200}, {}, GUESSING)[-1:]
    assert "step 1,200" in last.text
    assert "gptkit train hydra.run.dir=" in last.text


def test_spikes_exceed_the_preceding_norms() -> None:
    assert spike_count(np.array([1.0] * 20 + [6.0] + [1.0] * 20)) == 1
    assert spike_count(np.linspace(10, 1, 50)) == 0
    assert spike_count(np.array([9.0, 1.0, 9.0])) == 0  # too few losses for a diagnostic


@pytest.mark.parametrize(("mfu", "level"), [(0.4, "good"), (0.07, "good"), (0.03, "note"), (0.01, "bad"), (1.5, "note")])
def test_speed_diagnostic_depends_on_utilisation(mfu: float, level: str) -> None:
    verdict = diagnose_speed({"tokens_per_second": 12345.6, "mfu": mfu}, CPU)
    assert verdict.level == level
    assert "12,346 tokens per second" in verdict.text
    assert f"{mfu:.1%}" in verdict.text


@pytest.mark.parametrize(
    ("parameters", "mfu"), [(34_720, 0.1), (834_432, 0.08), (834_432, 0.26), (10_844_544, 0.25), (124e6, 0.38)]
)
def test_measured_speeds_of_small_models_are_normal(parameters: float, mfu: float) -> None:
    environment = dataclasses.replace(CPU, parameters=int(parameters))
    summary = {"tokens_per_second": 1000.0, "mfu": mfu, "tokens": 10_000_000, "steps": 100}
    assert diagnose_speed(summary, environment).level == "good"


def test_small_steps_on_a_cpu_are_judged_by_their_operations() -> None:
    summary = {"tokens_per_second": 17_000.0, "mfu": 0.006, "tokens": 12_800, "steps": 100}
    verdict = diagnose_speed(summary, CPU)
    assert verdict.level == "good"
    assert "A step of 89.6 MFLOP usually reaches 0.3%" in verdict.text


def test_unmeasured_model_size_gets_no_verdict() -> None:
    verdict = diagnose_speed({"tokens_per_second": 1.0, "mfu": 0.01}, dataclasses.replace(CPU, parameters=7_000_000_000))
    assert (verdict.level, verdict.title) == ("note", "1 tokens per second")


def test_speed_without_a_known_peak_gets_no_verdict() -> None:
    unknown = Environment("", "New device", 1, "bf16-mixed", 1, 257, 7e5, None, "", {})
    verdict = diagnose_speed({"tokens_per_second": 1000.0, "mfu": None}, unknown)
    assert verdict.level == "note"
    assert "New device" in verdict.text
    assert diagnose_speed({}, None).level == "note"


def test_reinforcement_learning_steps_are_reported_by_phase() -> None:
    summary = {"tokens_per_second": 100.0, "mfu": 0.01, "seconds_generate": 0.1, "seconds_score": 0.1, "seconds_ppo": 0.3}
    verdict = diagnose_speed(summary, CPU)
    assert (verdict.level, verdict.title) == ("note", "A step takes 0.5 s")
    assert "generate 20%, score 20%, ppo 60%" in verdict.text
