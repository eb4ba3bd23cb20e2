import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from gptkit.attention import DenseAttentionConfig
from gptkit.command import TrainCommand
from gptkit.data import TextConfig
from gptkit.model import GPTConfig
from gptkit.objective import LMConfig
from gptkit.optimizer import AdamWConfig
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.checkpoints.config_file import write_settings
from gptkit.training.reporting.curves import POINTS, Curves, downsample, smooth
from gptkit.training.reporting.diagnostics import diagnose_speed, diagnose_training, spike_count
from gptkit.training.reporting.environment import Environment, write_environment
from gptkit.training.reporting.metrics_csv import MetricsFile
from gptkit.training.reporting.report import write_curves, write_report
from gptkit.training.reporting.summary import read_summary, write_summary

GUESSING = math.log(257)
CPU = Environment("gptkit train seed=1", "A processor", 1, "32-true", 120_000, 257, 7e5, 1e11, "product, measured", {"torch": "2"})


def curves(train: list[float], val: dict[int, float] | None = None, norm: list[float] | None = None) -> Curves:
    """One row per training loss at tokens 0, 1, 2 ..., and validation losses by row."""
    count = len(train)
    held = [(val or {}).get(row, math.nan) for row in range(count)]
    columns = {"step": range(count), "tokens": range(count), "train/loss": train, "lr": [1e-3] * count, "val/loss": held}
    columns["grad_norm"] = norm or [1.0] * count
    return Curves({name: np.array(list(values), dtype=float) for name, values in columns.items()})


def judged(given: Curves, **settings: object) -> dict[str, str]:
    """Level of every verdict by its title."""
    return {one.title: one.level for one in diagnose_training(given, {"finished": True}, settings, GUESSING)}


FALLING = [5.5 * math.exp(-row / 40) + 2.0 for row in range(100)]


def test_a_normal_run_is_called_normal() -> None:
    given = curves([min(loss, 5.6) for loss in FALLING], {50: 3.6, 99: 2.5})
    assert set(judged(given).values()) == {"good"}


def test_what_goes_wrong_is_called_so() -> None:
    assert judged(curves([5.5, 4.0, math.nan, 3.0]))["The loss or the gradient stopped being a number"] == "bad"
    assert judged(curves([5.5] * 50))["The model has not learnt more than guessing"] == "bad"
    assert judged(curves([50.0, 5.0, 3.0, 3.0]))["The first losses are worse than guessing"] == "bad"
    assert judged(curves(FALLING, {30: 2.5, 60: 2.2, 99: 2.6}))["The validation loss has turned upward"] == "note"
    assert judged(curves(FALLING, {99: 4.5}))["Validation is well above training"] == "note"
    spiky = [20.0 if row % 10 == 9 else 1.0 for row in range(100)]
    assert judged(curves(FALLING, norm=spiky))["10 spikes of the gradient"] == "note"


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
def test_nothing_is_good_about_a_loss_that_is_absurd_or_rose(train: list[float], validation: float, guessing: float | None) -> None:
    found = diagnose_training(curves(train, {len(train) - 1: validation}), {"finished": True}, {"init_from": "x"}, guessing)
    losses = [one for one in found if "loss" in one.title and not one.title.startswith("Every")]
    assert "bad" in {one.level for one in losses} and "good" not in {one.level for one in losses}
    if validation > 100:
        assert "Validation follows training" not in {one.title for one in found}


def test_the_loss_of_reinforcement_is_not_judged() -> None:
    found = diagnose_training(curves([0.1, 5.0, 9.0]), {"finished": True, "seconds_generate": 1.0}, {}, None)
    assert "bad" not in {one.level for one in found}


def test_a_run_from_weights_may_begin_above_guessing() -> None:
    assert "The first losses are worse than guessing" not in judged(curves([50.0, 5.0, 3.0, 3.0]), init_from="runs/other")


def test_an_unfinished_run_says_how_to_go_on() -> None:
    (last,) = diagnose_training(curves([5.0]), {"finished": False, "steps": 1200}, {}, GUESSING)[-1:]
    assert "step 1,200" in last.text
    assert "gptkit train hydra.run.dir=" in last.text


def test_spikes_stand_out_of_what_came_before_them() -> None:
    assert spike_count(np.array([1.0] * 20 + [6.0] + [1.0] * 20)) == 1
    assert spike_count(np.linspace(10, 1, 50)) == 0
    assert spike_count(np.array([9.0, 1.0, 9.0])) == 0  # too few to say


@pytest.mark.parametrize(("mfu", "level"), [(0.4, "good"), (0.07, "good"), (0.03, "note"), (0.01, "bad"), (1.5, "note")])
def test_speed_is_judged_by_utilisation(mfu: float, level: str) -> None:
    verdict = diagnose_speed({"tokens_per_second": 12345.6, "mfu": mfu}, CPU)
    assert verdict.level == level
    assert "12,346 tokens per second" in verdict.text
    assert f"{mfu:.1%}" in verdict.text


@pytest.mark.parametrize(
    ("parameters", "mfu"), [(34_720, 0.1), (834_432, 0.08), (834_432, 0.26), (10_844_544, 0.25), (124e6, 0.38)]
)
def test_what_was_measured_of_small_models_is_normal(parameters: float, mfu: float) -> None:
    environment = dataclasses.replace(CPU, parameters=int(parameters))
    summary = {"tokens_per_second": 1000.0, "mfu": mfu, "tokens": 10_000_000, "steps": 100}
    assert diagnose_speed(summary, environment).level == "good"


def test_steps_too_small_to_fill_a_processor_are_judged_by_their_size() -> None:
    summary = {"tokens_per_second": 17_000.0, "mfu": 0.006, "tokens": 12_800, "steps": 100}
    verdict = diagnose_speed(summary, CPU)
    assert verdict.level == "good"
    assert "A step of 89.6 MFLOP usually reaches 0.3%" in verdict.text


def test_a_size_that_was_never_measured_is_not_judged() -> None:
    verdict = diagnose_speed({"tokens_per_second": 1.0, "mfu": 0.01}, dataclasses.replace(CPU, parameters=7_000_000_000))
    assert (verdict.level, verdict.title) == ("note", "1 tokens per second")


def test_speed_without_a_yardstick_is_not_judged() -> None:
    unknown = Environment("", "New device", 1, "bf16-mixed", 1, 257, 7e5, None, "", {})
    verdict = diagnose_speed({"tokens_per_second": 1000.0, "mfu": None}, unknown)
    assert verdict.level == "note"
    assert "New device" in verdict.text
    assert diagnose_speed({}, None).level == "note"


def test_steps_of_reinforcement_are_told_by_their_parts() -> None:
    summary = {"tokens_per_second": 100.0, "mfu": 0.01, "seconds_generate": 0.1, "seconds_score": 0.1, "seconds_ppo": 0.3}
    verdict = diagnose_speed(summary, CPU)
    assert (verdict.level, verdict.title) == ("note", "A step takes 0.5 s")
    assert "generate 20%, score 20%, ppo 60%" in verdict.text


def test_smoothing_is_the_mean_around_each_point() -> None:
    values = np.random.default_rng(0).normal(size=731)
    half = 7
    expected = []
    for place in range(len(values)):
        back = min(place, half)
        expected.append(values[place - back : min(place + back, len(values) - 1) + 1].mean())
    assert np.allclose(smooth(values), expected, rtol=0, atol=1e-12)
    assert np.array_equal(smooth(values[:50]), values[:50])


def test_a_thinned_curve_keeps_its_extremes() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    values[12_345], values[777] = 99.0, -99.0
    tokens, kept = downsample(np.arange(20_000.0), values)
    assert len(kept) <= POINTS + 2
    assert (kept.max(), kept.min()) == (99.0, -99.0)
    assert np.array_equal(values[tokens.astype(int)], kept)
    assert np.all(np.diff(tokens) > 0)


class Page(HTMLParser):
    """What a browser would fetch or run, the ids it would see, and the text it would show."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action") and not (value or "").startswith("#"):
                self.fetched.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def run_folder(folder: Path, *, finished: bool) -> Path:
    settings = TrainCommand(
        model=GPTConfig(),
        attention=DenseAttentionConfig(),
        objective=LMConfig(),
        tokenizer=BytesTokenizerConfig(),
        data=TextConfig(path="a<b>.txt"),
        optimizer=AdamWConfig(),
    )
    write_settings(folder / "config.yaml", settings)
    file = MetricsFile(folder / "metrics.csv")
    for step in range(10, 301, 10):
        file.add({"step": step, "tokens": 1000 * step, "train/loss": 2 + 3 * math.exp(-step / 90), "lr": 1e-3, "grad_norm": 1.0})
        file.add({"step": step, "tokens": 1000 * step, "tokens_per_second": 5000.0 + step, "train/accuracy": 0.25})
    file.add({"step": 300, "tokens": 300_000, "val/loss": 2.1875})
    file.close()
    write_environment(folder, CPU)
    numbers = {"parameters": 120_000, "tokens": 300_000, "steps": 300, "train_loss": 2.125, "val_loss": 2.1875}
    speed = {"tokens_per_second": 5150.0, "mfu": 0.375, "wall_seconds": 3725.0, "peak_memory_bytes": 3 << 30}
    write_summary(folder, **numbers, **speed, finished=finished)  # type: ignore[arg-type]
    return folder


def test_the_page_holds_everything_and_fetches_nothing(tmp_path: Path) -> None:
    page = Page(write_report(run_folder(tmp_path, finished=True)))
    for words in (
        "2.1875",
        "5,150",
        "38%",
        "1 h 02 min",
        "120 k parameters",
        "3.00 GiB",
        "gptkit train seed=1",
        "weight_decay: 0.1",
    ):
        assert words in page.text, words
    assert "has not reached its end" not in page.text
    assert page.fetched == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_an_unfinished_run_has_a_page_with_its_numbers(tmp_path: Path) -> None:
    run_folder(tmp_path, finished=False)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("310,3100")  # a row that is being written
    page = Page(write_report(tmp_path))
    assert "2.1875" in page.text
    assert "has not reached its end" in page.text
    (tmp_path / "summary.json").unlink()
    (tmp_path / "environment.json").unlink()
    page = Page(write_report(tmp_path))
    assert "Gradient norm, before clipping" in page.text
    assert f"{2 + 3 * math.exp(-300 / 90):.4f}" in page.text


def test_an_empty_folder_has_a_page_too(tmp_path: Path) -> None:
    assert "Nothing has been logged yet" in Page(write_report(tmp_path)).text


def test_text_of_samples_is_shown_and_never_becomes_part_of_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\u2028</p>"
    run_folder(tmp_path, finished=True)
    lines = [{"step": step, "tokens": step, "prompt": f"<b>{evil}", "text": f"{evil} {step}"} for step in range(1, 40)]
    with (tmp_path / "samples.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    page = Page(write_report(tmp_path))
    assert f"<b>{evil}{evil} 39" in page.text
    assert f"{evil} 1" in page.text  # how it came to that
    assert "script" not in page.tags
    assert "img" not in page.tags


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run_folder(tmp_path, finished=True)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first


def test_curves_as_a_picture(tmp_path: Path) -> None:
    write_curves(run_folder(tmp_path, finished=True), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_summary_is_json_even_when_the_loss_is_none(tmp_path: Path) -> None:
    write_summary(
        tmp_path,
        parameters=1,
        tokens=2,
        steps=3,
        train_loss=math.nan,
        val_loss=None,
        tokens_per_second=1.5,
        mfu=None,
        wall_seconds=4.5,
        peak_memory_bytes=5,
        finished=False,
        extra={"reward_mean": 0.5, "steps": 9.0},
    )
    assert read_summary(tmp_path) == {
        "parameters": 1,
        "tokens": 2,
        "steps": 3,
        "train_loss": None,
        "val_loss": None,
        "validated": False,
        "tokens_per_second": 1.5,
        "mfu": None,
        "wall_seconds": 4.5,
        "peak_memory_bytes": 5,
        "finished": False,
        "compared_by": "val_loss",
        "compared_mode": "min",
        "reward_mean": 0.5,
    }
