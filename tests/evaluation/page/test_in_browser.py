"""The page of an evaluation in a real browser: items are searched, sorted and opened, and tokens are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.evaluation.page.report_page import write_page
from tests.evaluation.sample_evaluations import (
    HOSTILE,
    choice_item,
    choice_items,
    generation_item,
    overlap,
    rolling_item,
    write_evaluation,
)
from tests.opened_page import CHROMIUM, DESKTOP, PHONE, Opened

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


WORDS = ["a", "\n", "", "é", " long\u2028"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("evaluations")
    many = choice_items(60)
    many[4] |= {"overlap": overlap("dirty", 2)}
    hostile = choice_item(0, HOSTILE, [HOSTILE, "b"], [-1.0, -2.0], examples=f"{HOSTILE}\n\n{HOSTILE}\n\n")
    hostile |= {"overlap": overlap("dirty", 2), HOSTILE: HOSTILE}
    metrics = {"word_perplexity": {"value": 1234.5, "low": 1000.0, "high": 1500.0, "minimum_detectable_difference": 300.0}}
    short = [rolling_item(number, WORDS * (1 + 40 * number)) for number in range(2)]
    long = [rolling_item(number, WORDS * (1 + 900 * number)) for number in range(2)]
    generated = [generation_item(number, f"Q: {number}?\nA:", f" {number % 3}", " 1") for number in range(5)]
    return {
        "choice": write_page(write_evaluation(folder / "choice", many)),
        "hostile": write_page(write_evaluation(folder / "hostile", [hostile], checkpoint=HOSTILE, task=HOSTILE)),
        "documents": write_page(write_evaluation(folder / "documents", short, metrics=metrics, chance={})),
        "long documents": write_page(write_evaluation(folder / "long", long, metrics=metrics, chance={})),
        "generated": write_page(write_evaluation(folder / "generated", generated)),
    }


@pytest.fixture
def opened(open_file: Callable[..., Opened], pages: dict[str, Path]) -> Callable[..., Opened]:
    return lambda name, **settings: open_file(pages[name], **settings)


def numbers(page: Opened) -> list[str]:
    texts: list[str] = page.page.locator(".item .number").all_inner_texts()
    return texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["choice", "hostile", "documents", "generated"])
def test_page_with_open_items_has_no_fault(opened: Any, name: str, viewport: dict[str, int], scheme: str) -> None:
    page = opened(name, viewport=viewport, color_scheme=scheme)
    page.page.locator("details:not(.item) > summary").first.click()
    for summary in page.page.locator(".item > summary").all()[:2]:
        summary.click()
    for examples in page.page.locator(".examples > summary").all():
        examples.click()
    page.page.locator(".item .option").first.wait_for()
    page.assert_no_fault()


def test_worst_items_come_first_and_other_orders_can_be_chosen(opened: Any) -> None:
    page = opened("choice")
    assert numbers(page)[:2] == ["#59", "#57"]  # wrong, with the lowest log-probability of the right answer
    assert len(numbers(page)) == 25
    sort = page.page.get_by_label("Sort")
    sort.select_option(label="best first")
    assert numbers(page)[0] == "#2"
    sort.select_option(label="log-probability, highest first")
    assert numbers(page)[:3] == ["#1", "#2", "#3"]
    sort.select_option(label="order of the task")
    assert numbers(page) == [f"#{number}" for number in range(1, 26)]


def test_no_item_is_cut(opened: Any) -> None:
    page = opened("choice")
    page.page.get_by_label("Sort").select_option(label="order of the task")
    seen = numbers(page)
    for _ in range(2):
        page.page.get_by_role("button", name="Next").click()
        seen += numbers(page)
    assert seen == [f"#{number}" for number in range(1, 61)]
    assert page.page.get_by_role("button", name="Next").is_disabled()


def test_items_are_searched_and_filtered(opened: Any) -> None:
    page = opened("choice")
    page.page.get_by_label("Search").fill("AFTER 42?")
    page.page.get_by_text("1 of 60 items", exact=True).wait_for()
    assert numbers(page) == ["#43"]
    page.page.get_by_label("Search").fill("")
    page.page.get_by_label("Show").select_option(label="right (30)")
    page.page.get_by_text("30 of 60 items", exact=True).wait_for()
    assert set(page.page.locator(".item .mark .hidden").all_text_contents()) == {"right"}
    page.page.get_by_label("Show").select_option(label="dirty (1)")
    page.page.get_by_text("1 of 60 items", exact=True).wait_for()
    page.page.locator(".item > summary").click()
    text = page.page.locator(".item .body").inner_text()
    assert "2 of 13 sequences of 8 words" in text
    assert "document 88 of data, tokens 3,000 to 4,000" in text
    page.page.get_by_label("Search").fill("nothing of the kind")
    page.page.get_by_text("No item matches.").wait_for()


def test_item_shows_the_options_and_the_choice(opened: Any) -> None:
    page = opened("choice")
    page.page.locator(".item > summary").first.press("Enter")
    options = page.page.locator(".item .option")
    options.nth(1).wait_for()  # items are drawn when they are opened
    first, second = options.all()
    assert "right answer" in first.inner_text()
    assert "chosen by the model" in second.inner_text()
    assert "log-probability -1.5" in second.inner_text()


def test_tokens_are_read_by_pointer_and_keyboard(opened: Any) -> None:
    page = opened("choice")
    page.page.locator(".item > summary").first.click()
    view = page.page.locator(".token-view").nth(1)
    view.locator(".token").nth(1).hover()
    assert view.get_by_role("status").inner_text() == '" word": log-probability -0.5, probability 60.7% (token 2 of 3)'
    tokens = view.get_by_role("group")
    tokens.focus()
    tokens.press("ArrowRight")
    assert '" 58"' in view.get_by_role("status").inner_text()
    tokens.press("Escape")
    assert not view.get_by_role("status").is_visible()


def test_long_documents_are_shown_in_parts_and_invisible_tokens_have_marks(opened: Any) -> None:
    page = opened("long documents")
    page.page.get_by_label("Sort").select_option(label="order of the task")
    for summary in page.page.locator(".item > summary").all():
        summary.click()
    page.page.locator(".tokens").nth(1).wait_for()  # items are drawn when they are opened
    short, long = page.page.locator(".tokens").all()
    assert short.locator(".token").all_text_contents() == ["a", "⏎\n", "·", "é", " long⏎"]
    assert long.locator(".token").count() == 2000
    page.page.get_by_role("button", name="Show 2,000 more of 4,505 tokens").click()
    page.page.get_by_role("button", name="Show 505 more of 4,505 tokens").click()
    assert long.locator(".token").count() == 4505


def test_colours_are_levels_of_probability(opened: Any) -> None:
    page = opened("choice")
    levels = page.page.evaluate("[1, 0.5, 0.4, 0.05, 0.005, 0.0005, 1e-9].map(p => gptkitTokens.level(Math.log(p) + 1e-12))")
    assert levels == [0, 0, 1, 2, 3, 4, 5]
    assert page.page.evaluate("gptkitTokens.formatProbability(Math.log(1 / 4000))") == "1 in 4000"


def test_generated_answers_are_shown_beside_the_right_ones(opened: Any) -> None:
    page = opened("generated")
    page.page.locator(".item > summary").first.click()
    text = page.page.locator(".item .body").first.inner_text()
    assert "Answer of the model" in text
    assert "Right answer" in text
    assert "3 tokens truncated on the left" in text
