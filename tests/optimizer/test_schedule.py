"""The learning rate schedule in tokens, with the numbers of the GPT-3 paper and at its corners."""

from __future__ import annotations

import math

import pytest

from gptkit.errors import ConfigError
from gptkit.optimizer import ScheduleConfig
from gptkit.optimizer.schedule import multiplier, warmup_warning

GPT3 = ScheduleConfig(shape="cosine", warmup=375e6, decay=260e9, floor=0.1)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, 0.0),
        (187_500_000, 0.5),
        (375_000_000, 1.0),
        (375_000_000 + (260_000_000_000 - 375_000_000) // 2, 0.55),
        (260_000_000_000, 0.1),
        (280_000_000_000, 0.1),
        (300_000_000_000, 0.1),
    ],
)
def test_the_schedule_of_gpt3(tokens: int, expected: float) -> None:
    assert multiplier(tokens, schedule=GPT3, horizon=300_000_000_000) == pytest.approx(expected, abs=1e-12)


def test_the_cosine_schedule_matches_its_formula() -> None:
    schedule = ScheduleConfig(shape="cosine", warmup=0.0, decay=1.0, floor=0.2)
    for tokens in range(0, 1001, 50):
        slow = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * tokens / 1000))
        assert multiplier(tokens, schedule=schedule, horizon=1000) == pytest.approx(slow, abs=1e-12)


def test_fractions_are_equivalent_to_numbers_of_tokens() -> None:
    by_fraction = ScheduleConfig(shape="linear", warmup=0.1, decay=0.9, floor=0.0)
    by_tokens = ScheduleConfig(shape="linear", warmup=100, decay=900, floor=0.0)
    for tokens in range(0, 1100, 7):
        assert multiplier(tokens, schedule=by_fraction, horizon=1000) == multiplier(tokens, schedule=by_tokens, horizon=1000)
    assert multiplier(500, schedule=by_fraction, horizon=1000) == pytest.approx(0.5)
    assert multiplier(1050, schedule=by_fraction, horizon=1000) == 0.0


def test_a_constant_schedule_ignores_the_floor() -> None:
    schedule = ScheduleConfig(shape="constant", warmup=0.5, decay=0.1, floor=0.1)
    assert multiplier(250, schedule=schedule, horizon=1000) == pytest.approx(0.5)
    assert multiplier(999, schedule=schedule, horizon=1000) == 1.0


def test_no_warmup_starts_at_the_peak() -> None:
    assert multiplier(0, schedule=ScheduleConfig(warmup=0.0), horizon=10) == 1.0


def test_warmup_can_start_above_zero() -> None:
    schedule = ScheduleConfig(shape="constant", warmup=10, start=0.1)
    assert multiplier(0, schedule=schedule, horizon=100) == pytest.approx(0.1)
    assert multiplier(5, schedule=schedule, horizon=100) == pytest.approx(0.55)
    assert multiplier(10, schedule=schedule, horizon=100) == 1.0


def test_the_first_update_uses_the_start_of_the_warmup() -> None:
    """A warm-up of ten updates of 64 tokens, as in appendix C.4 of InstructGPT: from a tenth to the peak at the eleventh."""
    schedule = ScheduleConfig(shape="constant", warmup=0.02, start=0.1)
    result = [multiplier(64 * update, schedule=schedule, horizon=500 * 64, step=64) for update in range(1, 13)]
    assert result == pytest.approx([0.1, 0.19, 0.28, 0.37, 0.46, 0.55, 0.64, 0.73, 0.82, 0.91, 1.0, 1.0])
    from_zero = ScheduleConfig(shape="constant", warmup=0.02)
    assert multiplier(64, schedule=from_zero, horizon=500 * 64, step=64) == pytest.approx(0.1)  # the learning rate changes


def test_a_warmup_longer_than_the_decay_raises_with_the_fix() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.schedule\.warmup=3e\+06 .*shorten the warm-up"):
        multiplier(0, schedule=ScheduleConfig(warmup=3e6, decay=0.5), horizon=4_000_000)


@pytest.mark.parametrize("decay", [1.0, 260e9])
def test_a_run_shorter_than_its_warmup_warns_with_the_override(decay: float) -> None:
    schedule = ScheduleConfig(shape="cosine", warmup=375e6, decay=decay, floor=0.1)
    assert multiplier(3_000_000, schedule=schedule, horizon=4_000_000) == pytest.approx(3 / 375)
    line = warmup_warning(schedule, horizon=4_000_000)
    assert "375,000,000 tokens is longer than this run of 4,000,000" in line
    assert "append optimizer.schedule.warmup=0.02" in line
    assert not warmup_warning(ScheduleConfig(shape="cosine", warmup=0.02, decay=decay), horizon=4_000_000)
    assert not warmup_warning(schedule, horizon=500_000_000)
