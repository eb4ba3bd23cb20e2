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
from gptkit.page.numbers import robust_limits, thin
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.checkpoints.config_file import write_settings
from gptkit.training.reporting.curves import smooth
from gptkit.training.reporting.environment import write_environment
from gptkit.training.reporting.metrics_csv import MetricsFile
from gptkit.training.reporting.report import write_curves, write_report
from gptkit.training.reporting.summary import read_summary, write_summary
from tests.training.reporting.sample_environment import CPU

pytestmark = pytest.mark.charts


def test_smoothing_averages_around_each_point() -> None:
    values = np.random.default_rng(0).normal(size=731)
    half = 7
    expected = []
    for index in range(len(values)):
        back = min(index, half)
        expected.append(values[index - back : min(index + back, len(values) - 1) + 1].mean())
    assert np.allclose(smooth(values), expected, rtol=0, atol=1e-12)
    assert np.array_equal(smooth(values[:50]), values[:50])


def test_thinned_curve_keeps_its_extremes() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    values[12_345], values[777] = 99.0, -99.0
    kept = thin(values, 500)
    assert len(kept) <= 502
    assert (values[kept].max(), values[kept].min()) == (99.0, -99.0)
    assert (kept[0], kept[-1]) == (0, 19_999)
    assert np.all(np.diff(kept) > 0)
    assert np.array_equal(thin(values[:20], 500), np.arange(20))


def test_outliers_do_not_flatten_a_curve_and_are_counted() -> None:
    values = 3 + np.random.default_rng(0).normal(size=1000) / 100
    values[500], values[600] = 1e6, -50.0
    limits = robust_limits([values])
    assert limits is not None
    assert 2.9 < limits.low < 2.98
    assert 3.02 < limits.high < 3.1
    assert (limits.below, limits.above) == (1, 1)
    assert limits.note.startswith("Outside the axis: 1 value above 3.0")
    few = robust_limits([np.array([5.5, 3.2, 3.1, 3.05, 3.0])])
    assert few is not None
    assert few.high > 5.5
    assert few.note == ""
    assert robust_limits([]) is None


class Page(HTMLParser):
    """Collects what a browser would load or run, the ids of elements, and the visible text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.scripts = 0
        self.ids: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.scripts += tag == "script"
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


def test_report_is_self_contained(tmp_path: Path) -> None:
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
    assert page.fetched == ["metrics.csv"]
    assert "link" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"""(?:url\(|fetch\(|src=|import\()["']?(?!#)(?:https?:|//|[\w./])""", text)
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_unfinished_run_has_a_report_with_its_numbers(tmp_path: Path) -> None:
    run_folder(tmp_path, finished=False)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("310,3100")  # an incomplete row
    page = Page(write_report(tmp_path))
    assert "2.1875" in page.text
    assert "has not reached its end" in page.text
    (tmp_path / "summary.json").unlink()
    (tmp_path / "environment.json").unlink()
    page = Page(write_report(tmp_path))
    assert "Gradient norm, before clipping" in page.text
    assert f"{2 + 3 * math.exp(-300 / 90):.4f}" in page.text


def test_empty_folder_has_a_report(tmp_path: Path) -> None:
    assert "Nothing has been logged yet" in Page(write_report(tmp_path)).text


def test_sample_texts_are_escaped_in_the_report(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\u2028</p>"
    run_folder(tmp_path, finished=True)
    lines = [{"step": step, "tokens": step, "prompt": f"<b>{evil}", "text": f"{evil} {step}"} for step in range(1, 40)]
    with (tmp_path / "samples.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    page = Page(write_report(tmp_path))
    assert f"<b>{evil}{evil} 39" in page.text
    assert f"{evil} 1" in page.text  # shown among the earlier samples
    assert page.scripts == 2  # the data of the charts, and the script of gptkit
    assert "img" not in page.tags


def test_same_run_gives_the_same_report(tmp_path: Path) -> None:
    run_folder(tmp_path, finished=True)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first


def test_curves_are_drawn_as_svg(tmp_path: Path) -> None:
    write_curves(run_folder(tmp_path, finished=True), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_summary_with_nan_loss_is_valid_json(tmp_path: Path) -> None:
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
