"""The page of a comparison in a real browser: the items that changed, with the tokens of both results side by side."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import ConfigError
from gptkit.evaluation.comparison.comparison import compare_results
from gptkit.evaluation.comparison.page import comparison_page, write_comparison_page
from gptkit.evaluation.comparison.stored_results import find_results
from tests.evaluation.sample_evaluations import HOSTILE, choice_item, choice_items, generation_item, rolling_item, write_evaluation
from tests.opened_page import CHROMIUM, DESKTOP, PHONE, Opened

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results a and b of three tasks: 60 questions of which 31 flip, generated answers with hostile texts, and documents."""
    root = tmp_path_factory.mktemp("comparison")
    a = choice_items(60)
    b = [item | {"scores": item["scores"] | {"accuracy": 1.0}} for item in choice_items(60)]
    right_before = next(item for item in b if a[b.index(item)]["scores"]["accuracy"])
    right_before["scores"] = right_before["scores"] | {"accuracy": 0.0}
    for name, items in (("a", a), ("b", b)):
        write_evaluation(root / name / "questions", items, checkpoint=f"runs/{name}")
        right = int(name == "b")
        hostile = choice_item(1, HOSTILE, [HOSTILE, "b"], [-1.0, -2.0])
        hostile |= {"scores": {"exact_match": float(right), "f1": 0.0}, "item": "1-00"}
        generated = [generation_item(0, f"{HOSTILE}\nA:", f"{HOSTILE} {right}", "x"), hostile]
        generated[0]["scores"] = {"exact_match": 0.0, "f1": 0.25 + right / 2}
        write_evaluation(root / name / "generated", generated, checkpoint=HOSTILE)
        documents = [rolling_item(number, ["a", "\n", "", "é", " long\u2028"] * (1 + 40 * number)) for number in range(2)]
        for document in documents:
            document["scores"] = document["scores"] | {"log_prob": document["scores"]["log_prob"] + right}
        write_evaluation(root / name / "documents", documents, chance={})
    return root


@pytest.fixture(scope="module")
def page_file(folder: Path) -> Path:
    comparison = compare_results(find_results("a", str(folder / "a")), find_results("b", str(folder / "b")))
    path = write_comparison_page(folder / "page", comparison)
    assert path.read_text() == comparison_page(comparison)
    return path


@pytest.fixture
def opened(open_file: Callable[..., Opened], page_file: Path) -> Callable[..., Opened]:
    return functools.partial(open_file, page_file)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_page_with_open_items_has_no_fault(opened: Any, viewport: dict[str, int], scheme: str) -> None:
    page = opened(viewport=viewport, color_scheme=scheme)
    for box in page.page.locator(".flips").all():
        for summary in box.locator(".flip > summary").all()[:2]:
            summary.click()
    page.page.locator(".side").first.wait_for()
    page.assert_no_fault()


def test_items_that_changed_are_listed_in_both_directions(opened: Any) -> None:
    page = opened()
    section = page.page.locator("section", has=page.page.get_by_role("heading", name="Items that changed: questions"))
    show = section.get_by_label("Show")
    options = show.locator("option").all_inner_texts()
    numbers = [int(option.rpartition("(")[2].rstrip(")")) for option in options]
    assert numbers[0] == numbers[1] + numbers[2]
    assert min(numbers[1:]) == 1
    assert section.locator(".flip").count() == 20
    section.get_by_role("button", name="Next").click()
    assert section.locator(".flip").count() == numbers[0] - 20
    show.select_option(index=2)
    assert section.locator(".flip .change").all_inner_texts() == ["accuracy 1 → 0"]
    section.locator(".flip > summary").click()
    sides = section.locator(".sides").first.locator(".side")
    sides.nth(1).wait_for()  # items are drawn when they are opened
    assert [side.locator(".remark").inner_text().partition(":")[0] for side in sides.all()] == ["a", "b"]
    assert sides.nth(0).locator(".token").count() == sides.nth(1).locator(".token").count() > 0
    assert "right answer" in section.locator(".sides.right").inner_text()


def test_table_has_a_cell_per_heading(folder: Path) -> None:
    for name in ("", "/questions"):
        results = [find_results(side, f"{folder / side}{name}") for side in "ab"]
        text = comparison_page(compare_results(*results))
        table = text.partition('<table class="differences">')[2].partition("</table>")[0]
        head, *rows = table.split("<tr>")[1:]
        assert rows
        for row in rows:
            assert row.count("<td>") + row.count("<th ") == head.count("<th ")


def test_page_does_not_replace_that_of_an_evaluation(folder: Path) -> None:
    results = find_results("a", str(folder / "a"))
    with pytest.raises(ConfigError, match="holds the results of an evaluation"):
        write_comparison_page(folder / "a" / "questions", compare_results(results, results))
