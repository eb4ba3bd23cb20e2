"""Several results on one page: the table of tasks and models, and the charts against K and the size of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from gptkit.evaluation.page.content import find_results
from gptkit.evaluation.page.report_page import write_page
from gptkit.evaluation.page.several_results import (
    label_tasks,
    name_models,
    order_models,
    read_all,
    results_as_text,
    results_charts,
    write_comparison,
)
from tests.command_line import GptkitCommand
from tests.evaluation.sample_evaluations import HOSTILE, choice_items, write_evaluation
from tests.opened_page import CHROMIUM, DESKTOP, PHONE, Opened


def write_result(
    folder: Path,
    model: str,
    *,
    k: int = 0,
    size: int | None = 1000,
    value: float | None = 0.5,
    protocol: Any = None,
    **content: Any,
) -> Path:
    metric = {"value": value, "low": None if value is None else value - 0.1, "high": None if value is None else value + 0.1}
    few_shot = {"k": k, "mean": float(k), "items_with_fewer": 0}
    checkpoint = {"checkpoint": model, "parameters": size, "fewshot": few_shot, "metrics": {"accuracy": metric, "other": metric}}
    write_evaluation(folder, choice_items(4), **(checkpoint | content))
    results = json.loads((folder / "results.json").read_text())
    results["protocol"] |= {"weights": model, **({"fewshot": {"k": k, "separator": "\n"}} if k else {}), **(protocol or {})}
    (folder / "results.json").write_text(json.dumps(results))
    write_page(folder)
    return folder


@pytest.fixture
def sweep(in_folder: Path) -> Path:
    """Two models with zero, one and ten examples."""
    for model, size in (("runs/large", 1_000_000), ("runs/small", 1000)):
        for k in (0, 1, 10):
            name = f"evals/{Path(model).name}/{k}"
            write_result(in_folder / name, model, k=k, size=size, value=0.3 + 0.01 * k + (size > 1000) * 0.2)
    return in_folder / "evals"


def test_report_compares_results(gptkit_command: GptkitCommand, sweep: Path) -> None:
    done = gptkit_command("report", "evals", "to=pages/all.html")
    assert done.status == 0, done.err
    heading, *lines = [line.split("  ") for line in done.out.splitlines()]
    assert [word.strip() for word in heading if word.strip()] == ["task", "K", "metric", "small", "large"]
    assert [line[0] for line in lines] == ["choice"] * 3
    assert "0.4000 (0.3000 to 0.5000)" in done.out.splitlines()[3]
    assert done.err == "The comparison is pages/all.html\n"
    page = Path("pages/all.html").read_text(encoding="utf-8")
    assert 'href="../evals/large/10/report.html"' in page
    assert "1 task, 2 models" in page


def test_charts_show_accuracy_against_k_and_size(sweep: Path) -> None:
    results = read_all(find_results(sweep))
    models = name_models(results)
    (against_k,), (against_size,) = results_charts(results, models, label_tasks(results, models))
    assert [series.label for series in against_k.series] == ["small", "large"]
    assert list(against_k.categories) == ["0", "1", "10"]
    assert against_k.series[0].y.tolist() == pytest.approx([0.3, 0.31, 0.4])
    assert against_k.reference == ("random guessing", 0.5)
    assert [series.label for series in against_size.series] == ["K = 0", "K = 1", "K = 10"]
    assert against_size.series[2].x["parameters"].tolist() == [1000, 1_000_000]
    assert against_size.has_log_x


def test_single_results_have_no_charts(tmp_path: Path) -> None:
    results = read_all([write_result(tmp_path / "a", "runs/a"), write_result(tmp_path / "b", "openai:x", size=None)])
    models = name_models(results)
    assert results_charts(results, models, label_tasks(results, models)) == ([], [])
    assert order_models(results, models) == ["a", "openai:x"]


def test_settings_that_differ_are_named_and_other_files_are_told_apart(tmp_path: Path) -> None:
    write_result(tmp_path / "1", "runs/a", protocol={"boundary": "joint"})
    write_result(tmp_path / "2", "runs/a", protocol={"boundary": "separate"})
    write_result(tmp_path / "3", "runs/a", protocol={"boundary": "separate"})  # another file
    results = read_all(find_results(tmp_path))
    assert list(label_tasks(results, name_models(results)).values()) == [
        "choice, boundary=joint",
        "choice, boundary=separate",
        "choice, boundary=separate (3)",
    ]


def test_results_of_two_files_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for name, data, items in (("1", "piqa.jsonl", 200), ("2", "copa.jsonl", 100), ("3", "copa.jsonl", 50)):
        path = write_result(tmp_path / name, "runs/a", data=data) / "results.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"items": items}))
    results = read_all(find_results(tmp_path))
    assert list(label_tasks(results, name_models(results)).values()) == [
        "choice, data=piqa.jsonl",
        "choice, data=copa.jsonl, items=100",
        "choice, data=copa.jsonl, items=50",
    ]


def test_models_have_the_shortest_names_that_tell_them_apart(tmp_path: Path) -> None:
    for number, model in enumerate(("runs/x/best", "runs/y/best", "runs/y/best")):
        write_result(tmp_path / str(number), model, protocol={"weights": f"{number:08d}ff"})
    names = name_models(read_all(find_results(tmp_path)))
    assert list(names.values()) == ["x/best", "y/best (00000001)", "y/best (00000002)"]


def test_calibration_of_several_models_is_on_one_plot(tmp_path: Path) -> None:
    each = {"low": 0.4, "high": 0.5, "options": 8, "probability": 0.45, "frequency": 0.5}
    calibration = {"options": 8, "metrics": {}, "bins": {"equal_width": [each]}}
    for model in ("before", "after"):
        write_result(tmp_path / model, f"runs/{model}", calibration=calibration)
    write_comparison(tmp_path / "all.html", read_all(find_results(tmp_path)))
    page = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert page.count('<figure class="reliability">') == 1
    assert '<caption class="hidden">Bins of equal width of before</caption>' in page


def test_metric_without_value_leaves_its_cell_empty(tmp_path: Path) -> None:
    text = results_as_text(read_all([write_result(tmp_path / "a", "runs/a", value=None)]))
    assert text.splitlines()[1].split() == ["choice", "0", "accuracy"]


def test_runs_and_results_are_reported_apart(gptkit_command: GptkitCommand, sweep: Path) -> None:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/summary.json").write_text("{}")
    done = gptkit_command("report", "runs/a", "evals")
    assert (done.status, done.error_line) == (
        2,
        "gptkit: runs: evals holds results of gptkit eval, but runs/a does not; report runs and results with two commands",
    )
    (sweep / "small" / "0" / "results.json").write_text("{")
    damaged = gptkit_command("report", "evals")
    assert damaged.status == 1
    assert "evals/small/0/results.json is damaged" in damaged.error_line


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_page_has_no_fault_and_shows_hostile_names_as_text(browser: Browser, sweep: Path, viewport: Any, scheme: Any) -> None:
    write_result(sweep / "hostile", HOSTILE.replace("\ud800", "").replace("\x00", ""), k=1, task=HOSTILE)
    path = sweep / "all.html"
    write_comparison(path, read_all(find_results(sweep)))
    assert "<script>alert" not in path.read_text(encoding="utf-8")
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    page = Opened(context.new_page(), path)
    page.page.locator("details.every > summary").click()
    page.assert_no_fault()
    scale = page.page.evaluate("gptkitCharts.charts.map(chart => chart.plot.scales.x.distr)")
    assert scale == [1, 3]
    context.close()
