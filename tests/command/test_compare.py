"""`gptkit compare`: paired results of one task and of several, protocols that differ, and what is refused."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand

MODEL: Any = GPTConfig(layers=1, heads=2, width=16, context=48)
LETTERS = "abcdefghij"


def perturb(seed: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))

    return change


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    """Runs a and b, 40 questions in a file and in another order, a text, and the results of both runs."""
    import gptkit

    root = tmp_path_factory.mktemp("compare")
    for seed, name in enumerate("ab"):
        untrained_run(root / "runs" / name, model=MODEL, attention=DenseAttentionConfig(), change=perturb(seed))
    generator = random.Random(0)
    rows = [
        {"query": f"{n}: {''.join(generator.choices(LETTERS, k=9))}", "choices": generator.sample(LETTERS, 3), "gold": n % 3}
        for n in range(40)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (root / "questions.jsonl").write_text("".join(lines))
    generator.shuffle(lines)
    (root / "shuffled.jsonl").write_text("".join(lines[:-3]))
    (root / "text.txt").write_text("".join(f"Number {n} is the square of {n**0.5:.3f}.\n" for n in range(60)))

    def evaluate(to: str, checkpoint: str, *words: str) -> None:
        settings = ["task=choice", f"data.path={root / 'questions.jsonl'}", *words]
        gptkit.run(gptkit.compose("eval", [*settings, f"checkpoint={root / 'runs' / checkpoint}", f"to={root / to}"]))

    for name in "ab":
        evaluate(f"choice/{name}", name)
        evaluate(f"all/{name}/choice", name)
        text = ("task=perplexity", f"data.path={root / 'text.txt'}", "task.documents=line")
        evaluate(f"all/{name}/perplexity", name, *text)
    evaluate("shuffled", "b", f"data.path={root / 'shuffled.jsonl'}")
    evaluate("delimiter", "b", 'task.delimiter=" -> "', "task.normaliser=bytes")
    return root


@pytest.fixture
def compare(results: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(results)

    def run(a: str, b: str, *words: str) -> Any:
        return gptkit_command("compare", f"a={a}", f"b={b}", *words)

    return run


def as_json(outcome: Any) -> dict[str, Any]:
    assert outcome.status == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def test_result_does_not_differ_from_itself(compare: Any) -> None:
    outcome = compare("choice/a", "choice/a", "format=json")
    task = as_json(outcome)["tasks"]["choice"]
    metric = task["metrics"]["accuracy"]
    assert (metric["difference"], metric["low"], metric["high"], metric["p_value"]) == (0, 0, 0, 1)
    assert (metric["higher"], metric["lower"], metric["equal"]) == (0, 0, 40)
    assert (task["items"], task["protocol_differences"]) == (40, {})
    assert outcome.err == ""


def test_two_models_are_compared_item_by_item(compare: Any, results: Path) -> None:
    metric = as_json(compare("choice/a", "choice/b", "format=json"))["tasks"]["choice"]["metrics"]["accuracy"]
    scores = {}
    for name in "ab":
        lines = map(json.loads, (results / "choice" / name / "items.jsonl").read_text().splitlines())
        scores[name] = {line["item"]: line["scores"]["accuracy"] for line in lines}
    pairs = [(scores["a"][item], scores["b"][item]) for item in scores["a"]]
    assert metric["higher"] == sum(one < other for one, other in pairs)
    assert metric["lower"] == sum(one > other for one, other in pairs)
    assert metric["higher"] + metric["lower"] > 0
    assert metric["difference"] == pytest.approx((metric["higher"] - metric["lower"]) / 40)
    table = compare("choice/a", "choice/b").out.splitlines()
    assert table[0] == "choice: 40 items in common"
    assert table[1].split("  ")[0] == "metric"
    assert table[2].startswith("accuracy")


def test_items_are_paired_by_content_whatever_their_order(compare: Any, results: Path) -> None:
    task = as_json(compare("choice/b", "shuffled", "format=json"))["tasks"]["choice"]
    assert (task["items"], task["only_a"], task["only_b"], task["paired_by"]) == (37, 3, 0, "content")
    assert task["metrics"]["accuracy"]["equal"] == 37
    assert "choice: 37 items in common; 3 only in a\n" in compare("choice/b", "shuffled").out


def test_protocols_that_differ_are_named(compare: Any, caplog: pytest.LogCaptureFixture) -> None:
    task = as_json(compare("choice/b", "delimiter", "format=json"))["tasks"]["choice"]
    assert set(task["protocol_differences"]) == {"task.delimiter", "task.normaliser"}
    assert (task["items"], task["paired_by"]) == (40, "position")
    assert caplog.messages == [
        "choice: the protocols differ, so the difference is not one of the models alone: "
        'task.delimiter (" " in a, " -> " in b), task.normaliser ("tokens" in a, "bytes" in b)',
        "choice: the prompts differ, so the items are paired by their position",
    ]


def test_tasks_in_common_are_compared_and_adjusted(compare: Any, results: Path) -> None:
    shutil.copytree(results / "choice" / "a", results / "all" / "a" / "alone", dirs_exist_ok=True)
    content = as_json(compare("all/a", "all/b", "format=json"))
    assert list(content["tasks"]) == ["choice", "perplexity"]
    assert (content["only_a"], content["only_b"]) == (["alone"], [])
    metrics = content["tasks"]["perplexity"]["metrics"]
    stored = {name: json.loads((results / f"all/{name}/perplexity/results.json").read_text())["metrics"] for name in "ab"}
    assert list(metrics) == list(stored["a"])
    for name, metric in metrics.items():
        assert (metric["a"], metric["b"]) == (stored["a"][name]["value"], stored["b"][name]["value"])
        assert metric["low"] <= metric["difference"] <= metric["high"]
    p_values = [next(iter(task["metrics"].values()))["p_value"] for task in content["tasks"].values()]
    adjusted = [next(iter(task["metrics"].values()))["adjusted_p_value"] for task in content["tasks"].values()]
    assert min(adjusted) == min(1.0, 2 * min(p_values))
    assert max(adjusted) == max(min(adjusted), max(p_values))
    table = compare("all/a", "all/b").out
    assert "only in a, not compared: alone" in table
    assert "p (Holm)" in table


def test_without_the_data_means_of_scores_are_compared(
    compare: Any, results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (results / "text.txt").rename(tmp_path / "text.txt")
    try:
        task = as_json(compare("all/a/perplexity", "all/b/perplexity", "format=json"))["tasks"]["perplexity"]
    finally:
        (tmp_path / "text.txt").rename(results / "text.txt")
    assert set(task["metrics"]) == {"log_prob", "tokens", "words", "characters", "bytes"}
    assert "perplexity: the data of the task cannot be read again, so only means of scores are compared" in caplog.messages


@pytest.mark.parametrize(
    ("a", "b", "status", "message"),
    [
        ("choice/c", "choice/b", 2, "a=choice/c: there is no folder choice/c. Did you mean choice/b?"),
        ("runs/a", "choice/b", 2, "a=runs/a: runs/a holds no result; write one with gptkit eval to=runs/a"),
        (
            "choice/a",
            "all/b/perplexity",
            1,
            "choice/a is a result of task=choice, and all/b/perplexity of task=perplexity; compare results of one task",
        ),
        ("choice/a", "all/b", 1, "a has one result of task=choice and b has choice, perplexity: there is no common task"),
        ("unfinished", "choice/b", 1, "unfinished is not finished; repeat its gptkit eval to continue it"),
        ("damaged", "choice/b", 1, "damaged/items.jsonl:40: the line is damaged"),
        ("shortened", "choice/b", 1, "shortened/items.jsonl has 39 items of task=choice, and results.json 40; evaluate again"),
        ("other", "choice/b", 1, "other and choice/b have no common item of task=choice"),
    ],
)
def test_bad_input(compare: Any, results: Path, a: str, b: str, status: int, message: str) -> None:
    for name in ("unfinished", "damaged", "shortened", "other"):
        shutil.copytree(results / "choice" / "a", results / name, dirs_exist_ok=True)
    (results / "unfinished" / "results.json").unlink()
    lines = (results / "choice" / "a" / "items.jsonl").read_text().splitlines(keepends=True)
    (results / "damaged" / "items.jsonl").write_text("".join([*lines[:-1], lines[-1][:30]]))
    (results / "shortened" / "items.jsonl").write_text("".join(lines[:-1]))
    changed = [json.loads(line) | {"target": 7} for line in lines]
    for line in changed:
        line["item"] = line["item"].replace("-", "-0")
    (results / "other" / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
    outcome = compare(a, b)
    assert (outcome.status, outcome.error_line) == (status, f"gptkit: {message}")
