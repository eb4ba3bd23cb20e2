import torch

from gptkit.page.numbers import format_duration
from gptkit.training.reporting.speed_and_mfu import SpeedMeter, model_flops_utilization, peak_memory_bytes


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_first_window_does_not_count() -> None:
    clock = Clock()
    meter = SpeedMeter(clock=clock)
    meter.start(0)
    clock.now += 50
    assert meter.end_window(1000) == 20
    assert meter.tokens_per_second == 20  # the only window so far
    clock.now += 10
    assert meter.end_window(2000) == 100
    assert meter.tokens_per_second == 100
    assert meter.wall_seconds == 60


def test_validation_checkpoints_and_samples_do_not_count() -> None:
    clock = Clock()
    meter = SpeedMeter(previous_seconds=7.0, clock=clock)
    meter.start(0)
    clock.now += 1
    meter.end_window(100)
    clock.now += 4
    with meter.pause():
        clock.now += 30
        with meter.pause():
            clock.now += 30
    clock.now += 6
    assert meter.end_window(1100) == 100
    assert meter.wall_seconds == 7 + 1 + 4 + 60 + 6


def test_single_slow_window_does_not_change_the_speed() -> None:
    clock = Clock()
    meter = SpeedMeter(clock=clock)
    meter.start(0)
    tokens = 0
    for seconds in (9, 1, 1, 50, 1, 2):
        clock.now += seconds
        tokens += 100
        meter.end_window(tokens)
    assert meter.tokens_per_second == 100


def test_speed_is_none_before_the_first_window() -> None:
    meter = SpeedMeter()
    assert meter.tokens_per_second is None
    assert meter.end_window(10) is None
    assert meter.wall_seconds == 0


def test_utilisation_matches_the_example_of_the_paper() -> None:
    """PaLM, table 3 and appendix B: 238.3K tokens per second with 540B parameters on 6144 TPU v4 chips are 46.2%."""
    parameters, layers, heads, head_size, context = 540.35e9, 118, 48, 256, 2048
    per_token = 6 * parameters + 12 * layers * heads * head_size * context
    assert round(model_flops_utilization(238_300, per_token, 275e12, devices=6144), 3) == 0.462


def test_peak_memory_includes_the_memory_of_the_process() -> None:
    before = peak_memory_bytes()
    held = torch.ones(64 << 20, dtype=torch.uint8)
    assert peak_memory_bytes() >= max(before, held.nbytes)


def test_durations_are_formatted_in_two_units() -> None:
    assert [format_duration(s) for s in (0, 59.6, 200, 7500, 90_000 + 7200)] == [
        "0 s",
        "1 min 00 s",
        "3 min 20 s",
        "2 h 05 min",
        "1 d 03 h",
    ]
