"""The page of an evaluation: a function of its files, with the numbers of results.json and every item of items.jsonl."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import DataError
from gptkit.evaluation.folder import EvaluationFolder
from gptkit.evaluation.page.calibration import reliability_chart, reliability_section
from gptkit.evaluation.page.content import read_evaluation
from gptkit.evaluation.page.items import items_data
from gptkit.evaluation.page.protocol import protocol_in_words, protocol_rows
from gptkit.evaluation.page.report_page import write_page
from gptkit.page.whiskers import Axis, axis_for, draw_whisker
from tests.evaluation.killed_evaluation import PROTOCOL, run
from tests.evaluation.sample_evaluations import HOSTILE, choice_item, choice_items, overlap, rolling_item, write_evaluation


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def data_of(page: Path) -> Any:
    match = re.search(r'<script type="application/json" class="item-data">(.*?)</script>', text_of(page), re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def test_evaluation_writes_its_page(tmp_path: Path) -> None:
    run(EvaluationFolder(str(tmp_path / "a"), PROTOCOL))
    assert len(data_of(tmp_path / "a" / "report.html")["items"]) == 60


def test_page_depends_on_the_files_alone(tmp_path: Path) -> None:
    first = write_page(write_evaluation(tmp_path / "a", choice_items(20)))
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "b")
    lines = (tmp_path / "elsewhere" / "b" / "items.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "elsewhere" / "b" / "items.jsonl").write_text("".join(reversed(lines)))  # the order of computation
    assert write_page(tmp_path / "elsewhere" / "b").read_bytes() == first.read_bytes()


def test_metrics_have_intervals_chance_and_the_detectable_difference(tmp_path: Path) -> None:
    page = text_of(write_page(write_evaluation(tmp_path / "a", choice_items(20))))
    for text in ("0.3500 to 0.6500", "accuracy 0.5000, 95% interval 0.3500 to 0.6500; random guessing 0.5000", "0.2000"):
        assert text in page
    assert "accuracy cannot be told apart from random guessing (0.5000)" in page
    assert "12.3 M parameters" in page


def test_metric_of_some_items_has_their_number(tmp_path: Path) -> None:
    part = {"value": 0.5, "low": 0.4, "high": 0.6, "minimum_detectable_difference": 0.1, "items": 1234}
    page = text_of(write_page(write_evaluation(tmp_path / "a", choice_items(4), metrics={"accuracy": dict(part), "2D+": part})))
    assert "1,234" in page


@pytest.mark.parametrize(("low", "high", "title"), [(0.6, 0.7, "above"), (0.1, 0.2, "below")])
def test_position_beside_chance_is_said(tmp_path: Path, low: float, high: float, title: str) -> None:
    metrics = {"accuracy": {"value": (low + high) / 2, "low": low, "high": high, "minimum_detectable_difference": 0.1}}
    page = text_of(write_page(write_evaluation(tmp_path / "a", choice_items(4), metrics=metrics)))
    assert f"accuracy is {title} random guessing (0.5000)" in page


def test_clean_and_dirty_subsets_truncation_and_examples_are_shown(tmp_path: Path) -> None:
    part = {"accuracy": {"value": 0.75, "low": 0.5, "high": 0.9, "minimum_detectable_difference": 0.3}}
    contamination = {"n": 8, "share": 0.25, "clean": {"items": 3, "metrics": part}, "dirty": {"items": 1, "metrics": {}}}
    few_shot = {"k": 4, "mean": 2.5, "items_with_fewer": 3}
    folder = write_evaluation(tmp_path / "a", choice_items(4), contamination=contamination, fewshot=few_shot, truncated_requests=5)
    page = text_of(write_page(folder))
    assert re.search(r'class="part"><th scope="row">clean</th><td>0\.7500</td>', page)
    assert re.search(r'class="part"><th scope="row">dirty</th><td></td>', page)
    assert "1 of 4 items share 8 words in a row with the training text" in page
    assert "25.0% of the 8-grams" in page
    assert "5 of 8 requests were truncated on the left" in page
    assert "3 of 4: more do not fit the context" in page


def test_metric_without_a_value_or_an_interval_is_shown(tmp_path: Path) -> None:
    metrics = {"perplexity": {"value": None, "low": None, "high": None}, "bits": {"value": 7.5, "low": None, "high": None}}
    page = text_of(write_page(write_evaluation(tmp_path / "a", [rolling_item(0, ["a", "b"])], metrics=metrics, chance={})))
    assert "7.5000" in page


def test_every_text_is_stored_once_and_examples_are_told_from_questions(tmp_path: Path) -> None:
    pool = [f"Question: {number}?\n\nAnswer: {number}\n\n" for number in range(3)]  # the separator is in the examples, too
    items = [
        choice_item(number, f"Own {number}\n\nAnswer:", ["yes", "no"], [-1.0, -2.0], examples="".join(pool[: number % 3 + 1]))
        for number in range(30)
    ]
    data = items_data(read_evaluation(write_evaluation(tmp_path / "a", items)))
    strings = data["strings"]
    assert len(strings) == len(set(strings)) == 30 + 6 + 2
    for number, item in enumerate(data["items"]):
        *examples, own = (strings[index] for index in item["requests"][0]["context"])
        assert own == f"Own {number}\n\nAnswer:"
        assert data["separator"].join([*examples, own]) == items[number]["requests"][0]["context"]


def test_option_that_the_model_chose_is_known_from_the_accuracy(tmp_path: Path) -> None:
    items = choice_items(6)
    data = items_data(read_evaluation(write_evaluation(tmp_path / "a", items)))
    assert [item["chosen"] for item in data["items"]] == [1, 0, 1, 0, 1, 0]
    items[0]["scores"]["accuracy"] = 1.0  # chosen by another rule
    unknown = items_data(read_evaluation(write_evaluation(tmp_path / "b", items)))
    assert [item["chosen"] for item in unknown["items"]] == [None] * 6


def test_log_probability_of_an_item_is_that_of_the_right_answer(tmp_path: Path) -> None:
    items = [choice_item(0, "Q", ["a b", "c"], [-1.5, -3.0], target=0), rolling_item(1, ["a", "b"])]
    data = items_data(read_evaluation(write_evaluation(tmp_path / "a", items)))
    assert [item["logProb"] for item in data["items"]] == [-1.5, pytest.approx(-0.51)]


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    item = choice_item(0, HOSTILE, [HOSTILE, "b"], [-1.0, -2.0], examples=f"{HOSTILE}\n\n")
    item |= {"overlap": overlap("dirty", 2), HOSTILE: HOSTILE, "target": HOSTILE}
    folder = write_evaluation(tmp_path / "a", [item], checkpoint=HOSTILE, task=HOSTILE)
    results = json.loads((folder / "results.json").read_text())
    results["protocol"]["task"][HOSTILE] = HOSTILE
    (folder / "results.json").write_text(json.dumps(results))
    page = text_of(write_page(folder))
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "{{ 7 * 7 }}" in page
    assert data_of(folder / "report.html")["items"][0]["target"] == HOSTILE.replace("\ud800", "?")


def test_results_without_token_texts_and_number_of_parameters_have_a_page(tmp_path: Path) -> None:
    items = choice_items(2)
    for item in items:
        for answer in item["answers"]:
            del answer["tokens"]
    page = write_page(write_evaluation(tmp_path / "a", items, parameters=None, fewshot={}))
    assert "tokens" not in data_of(page)["items"][0]["requests"][0]


def test_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "a", choice_items(2))
    with (folder / "items.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(DataError, match=r"items\.jsonl:3: the line is damaged"):
        write_page(folder)
    (folder / "results.json").write_text("[]")
    with pytest.raises(DataError, match=r"results\.json is damaged"):
        write_page(folder)


def test_protocol_is_said_in_words_and_listed() -> None:
    protocol = {"boundary": "joint", "task": {"normaliser": "bytes"}, "seed": 3, "fewshot": {"k": 2, "separator": "\n"}}
    words = " ".join(protocol_in_words(protocol))
    examples = '2 solved examples precede every item, drawn for each item by seed 3 and joined by "\\n"'
    for part in ("encoded as one text", "per UTF-8 byte", examples):
        assert part in words
    assert dict(protocol_rows(protocol))["fewshot.separator"] == '"\\n"'
    assert "zero-shot" in " ".join(protocol_in_words({}))


@pytest.mark.parametrize(
    ("mode", "detail", "lead", "sentence"),
    [
        (
            "in_context",
            {"examples_in_context": 2.5},
            "8 examples in context, 2 draws",
            "precede every item, the same",
        ),
        (
            "linear_probe",
            {"C": 0.01, "folds": 5},
            "linear probe of 8 examples, 2 draws",
            "is fitted to 8 solved examples in",
        ),
        (
            "fine_tune",
            {"updates": 10},
            "fine-tuned on 8 examples, 2 draws",
            "are fine-tuned on 8 solved examples in",
        ),
    ],
)
def test_the_page_says_how_a_model_learns_from_draws(tmp_path: Path, mode: str, detail: Any, lead: str, sentence: str) -> None:
    each = [{"metrics": {"accuracy": 0.25 + 0.5 * draw}, **detail} for draw in range(2)]
    protocol = {"task": {"name": "choice", "normaliser": "tokens"}, "seed": 3, "fewshot": {"mode": mode, "k": 8, "draws": 2}}
    draws, fewshot = {"mode": mode, "k": 8, "items_left_out": 3, "each": each}, {"k": 8, "mean": 8.0, "items_with_fewer": 0}
    folder = write_evaluation(tmp_path / "a", choice_items(4), draws=draws, fewshot=fewshot, protocol=protocol)
    text = write_page(folder).read_text()
    assert lead in text
    assert sentence in text
    assert ("The score of an option" in text) == (mode != "linear_probe")
    assert "accuracy 0.7500, " in text


def test_whiskers_lie_on_their_axis() -> None:
    assert axis_for([0.2, 0.9, None]) == Axis(0.0, 1.0)
    axis = axis_for([10.0, 30.0])
    assert axis.low < 10 < 30 < axis.high
    drawing = draw_whisker(Axis(0.0, 1.0), 0.5, 0.25, 0.75, label='"quoted"', reference=2.0)
    assert 'class="range" style="left:25.0%;width:50.0%"' in drawing
    assert 'class="reference" style="left:100.0%"' in drawing
    assert "&#34;quoted&#34;" in drawing


def calibration_content(frequency: float) -> dict[str, Any]:
    """The calibration of a model on 40 options in two bins."""
    empty = {"options": 0, "probability": None, "frequency": None}
    bins: list[dict[str, Any]] = [{"low": n / 10, "high": (n + 1) / 10, **empty} for n in range(10)]
    bins[1] |= {"options": 30, "probability": 0.15, "frequency": 0.1}
    bins[8] |= {"options": 10, "probability": 0.85, "frequency": frequency}
    error = {"value": 0.0625, "low": 0.05, "high": 0.08}
    metrics = {"expected_calibration_error": error, "expected_calibration_error_equal_mass": error, "brier_score": error}
    return {"options": 40, "metrics": metrics, "bins": {"equal_width": bins, "equal_mass": []}}


def test_calibration_is_drawn_with_its_numbers(tmp_path: Path) -> None:
    page = text_of(write_page(write_evaluation(tmp_path / "a", choice_items(4), calibration=calibration_content(0.75))))
    assert "expected calibration error" in page
    assert "0.0500 to 0.0800" in page
    assert '<th scope="row">0.8 to 0.9</th><td>10</td><td>0.850</td><td>0.750</td>' in page
    assert "Reliability. The values are in the table below the chart." in page
    assert "Calibration" not in text_of(write_page(write_evaluation(tmp_path / "b", choice_items(4))))


def test_calibration_of_several_models_is_one_plot() -> None:
    models = {"before <PPO>": calibration_content(0.85), "after": calibration_content(0.5)}
    chart = reliability_chart(models)
    assert [series.label for series in chart.series] == ["perfect calibration", "before <PPO>", "after"]
    assert chart.series[2].y.tolist() == [0.1, 0.5]
    html = str(reliability_section(models).html)
    assert html.count("<svg role=") == 1
    assert "before &lt;PPO&gt;" in html and "before <PPO>" not in html


def test_groups_have_a_table(tmp_path: Path) -> None:
    accuracy = {"value": 0.25, "low": 0.1, "high": 0.4}
    groups = {"law <1>": {"items": 7, "metrics": {"accuracy": accuracy}}, "empty": {"items": 0, "metrics": {}}}
    page = text_of(write_page(write_evaluation(tmp_path / "a", choice_items(4), groups=groups)))
    assert '<th scope="row">law &lt;1&gt;</th><td>0.2500</td>' in page
    assert "0.1000 to 0.4000" in page
