"""The pages in a real browser: what can be done with mouse, keyboard and screen reader, and that nothing is loaded or fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from gptkit.training.reporting.comparison import read_run, write_comparison
from gptkit.training.reporting.report import write_report
from tests.opened_page import CHROMIUM, DESKTOP, PHONE, Opened
from tests.training.reporting.sample_runs import write_run
from tests.training.reporting.test_html_page import write_hostile_run

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run's page, a comparison, and the page of a run whose texts try to become markup."""
    folder = tmp_path_factory.mktemp("pages")
    runs = [read_run(name, write_run(folder / name, lr=lr)) for name, lr in (("slow", 1e-3), ("fast", 3e-3), ("broken", 1e-2))]
    runs[2].status, runs[2].messages = "failed", ["the reason " * 80]
    write_comparison(folder / "comparison.html", "Comparison", runs)
    run = write_report(write_run(folder / "long", steps=2000, seed=3))
    (folder / "hostile").mkdir()
    write_hostile_run(folder / "hostile")
    return {"run": run, "comparison": folder / "comparison.html", "hostile": write_report(folder / "hostile")}


@pytest.fixture
def opened(open_file: Callable[..., Opened], pages: dict[str, Path]) -> Callable[..., Opened]:
    return lambda name, **settings: open_file(pages[name], **settings)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["run", "comparison", "hostile"])
def test_nothing_fails_is_loaded_or_scrolls_sideways_and_axe_finds_no_serious_fault(
    opened: Any, name: str, viewport: dict[str, int], scheme: str
) -> None:
    page = opened(name, viewport=viewport, color_scheme=scheme)
    page.assert_no_fault()


def test_the_values_under_the_cursor_are_shown(opened: Any) -> None:
    page = opened("comparison")
    plot = page.chart("Validation loss").locator(".plot")
    plot.hover(position={"x": 500, "y": 100})
    tip = plot.locator(".tip")
    tip.wait_for(state="visible")
    assert "tokens " in tip.inner_text()
    assert {"slow", "fast", "broken"} <= set(tip.inner_text().split())


def test_dragging_zooms_and_a_double_click_or_the_button_resets(opened: Any) -> None:
    page = opened("run")
    whole = page.range_x()
    box = page.chart("Loss").locator(".u-over").bounding_box()

    def drag() -> None:
        page.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 52, steps=5)
        page.page.mouse.up()

    drag()
    low, high = page.range_x()
    assert low == pytest.approx(whole[0] + 0.25 * (whole[1] - whole[0]), rel=0.02)
    assert high == pytest.approx(whole[0] + 0.5 * (whole[1] - whole[0]), rel=0.02)
    page.page.mouse.dblclick(box["x"] + 100, box["y"] + 50)
    assert page.range_x() == whole
    drag()
    page.page.get_by_role("button", name="Reset zoom: Loss").click()
    assert page.range_x() == whole


def test_a_touch_screen_zooms_by_a_button(opened: Any) -> None:
    page = opened("run", viewport=PHONE, has_touch=True, is_mobile=True)
    whole = page.range_x()
    page.chart("Loss").locator(".u-over").tap(position={"x": 50, "y": 80})
    page.chart("Loss").locator(".tip").wait_for(state="visible")
    page.page.get_by_role("button", name="Zoom in: Loss").tap()
    low, high = page.range_x()
    assert high - low == pytest.approx((whole[1] - whole[0]) / 2)


def test_the_keyboard_reads_values_and_zooms(opened: Any) -> None:
    page = opened("run")
    whole = page.range_x()
    plot = page.chart("Loss").locator(".plot")
    plot.focus()
    page.page.keyboard.press("ArrowRight")
    tip = plot.get_by_role("status")
    first = tip.inner_text()
    page.page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    page.page.keyboard.press("+")
    assert page.range_x()[1] - page.range_x()[0] < whole[1] - whole[0]
    page.page.keyboard.press("Escape")
    assert page.range_x() == whole


def test_axes_can_be_changed(opened: Any) -> None:
    page = opened("run")
    page.page.get_by_label("Horizontal axis", exact=True).select_option("step")
    assert page.range_x() == [1, 2000]
    page.page.get_by_role("button", name="Log: horizontal axis").click()
    assert page.page.evaluate("gptkitCharts.charts[0].plot.scales.x.distr") == 3
    button = page.page.get_by_role("button", name="Log: Loss")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.page.evaluate("gptkitCharts.charts[0].plot.scales.y.distr") == 3


def test_the_legend_hides_a_run_in_all_charts_and_shows_it_again(opened: Any) -> None:
    page = opened("comparison")
    button = page.page.get_by_label("Runs").get_by_role("button", name="fast").first
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    shown = "gptkitCharts.charts.map(chart => chart.shown.map(({ series }) => series.label))"
    assert all("fast" not in labels for labels in page.page.evaluate(shown))
    button.press("Enter")
    assert any("fast" in labels for labels in page.page.evaluate(shown))


def test_tables_sort_and_filter_and_the_charts_follow(opened: Any) -> None:
    page = opened("comparison")
    table = page.page.locator("table").first

    def names() -> list[str]:
        texts: list[str] = table.locator("tbody tr:not([hidden]) th").all_inner_texts()
        return texts

    assert names() == ["slow", "fast", "broken"]
    heading = table.get_by_role("columnheader", name="optimizer.lr")
    heading.get_by_role("button").click()
    assert (names(), heading.get_attribute("aria-sort")) == (["slow", "fast", "broken"], "ascending")
    heading.get_by_role("button").press("Enter")
    assert (names(), heading.get_attribute("aria-sort")) == (["broken", "fast", "slow"], "descending")
    page.page.get_by_label("Filter: Runs").fill("fast finished")
    assert names() == ["fast"]
    assert page.page.evaluate("gptkitCharts.charts[0].shown.map(({ series }) => series.label)") == ["fast"]


def test_ticks_that_are_close_to_each_other_stay_distinct(opened: Any) -> None:
    page = opened("run")
    assert page.page.evaluate("gptkitElements.formatTicks([5.5411, 5.5412, 5.5413])") == ["5.5411", "5.5412", "5.5413"]
    assert page.page.evaluate("gptkitElements.formatTicks([0, 50000, 1500000, null])") == ["0", "50k", "1.5M", ""]


def test_a_logarithmic_axis_has_a_few_round_ticks(opened: Any) -> None:
    page = opened("comparison")
    ticks = "([low, high, most]) => gptkitElements.logTicks(low, high, most)"
    for arguments, expected in {
        (6.7e-5, 0.012, 6): [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
        (0.5, 300, 20): [0.5, 1, 2, 5, 10, 20, 50, 100, 200],
        (1e-12, 1e12, 5): [1e-12, 1e-7, 1e-2, 1e3, 1e8],
        (2.0, 2.2, 3): [2.0, 2.1, 2.2],
    }.items():
        assert page.page.evaluate(ticks, list(arguments)) == pytest.approx(expected)


def test_a_clipped_outlier_can_be_shown(opened: Any) -> None:
    page = opened("run")
    chart = page.chart("Loss")
    assert "Outside the axis" in chart.inner_text()
    top = "gptkitCharts.charts[0].plot.scales.y.max"
    before = page.page.evaluate(top)
    chart.get_by_role("button", name="Full range: Loss").click()
    assert page.page.evaluate(top) > before


def test_without_scripts_the_page_shows_charts_tables_and_messages(opened: Any, browser: Browser, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["comparison"].as_uri())
    assert page.get_by_role("img", name="Validation loss.").first.is_visible()
    assert page.get_by_text("the reason the reason").is_visible()
    assert not page.get_by_role("button").count()
    page.locator("figure details summary").first.click()
    assert page.get_by_role("table", name="Validation loss over tokens").is_visible()
    context.close()
