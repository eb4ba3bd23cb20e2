"""`gptkit compare explain=true`: what a difference of two results of the same weights consists of."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.attention import DenseAttentionConfig
from tests.command.test_compare import MODEL, perturb
from tests.command_line import GptkitCommand


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    """A run, and results of it with different protocols; another run."""
    import gptkit

    root = tmp_path_factory.mktemp("explain")
    for seed, name in enumerate("xy"):
        untrained_run(root / "runs" / name, model=MODEL, attention=DenseAttentionConfig(), change=perturb(seed))
    generator = random.Random(0)
    words = ["red", "green apple", "a", "the blue one", "x y z"]
    rows = [{"query": f"{n} is", "choices": generator.sample(words, 3), "gold": n % 3} for n in range(40)]
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def evaluate(to: str, checkpoint: str, *words: str) -> None:
        settings = ["task=choice", f"data.path={root / 'questions.jsonl'}", *words]
        gptkit.run(gptkit.compose("eval", [*settings, f"checkpoint={root / 'runs' / checkpoint}", f"to={root / to}"]))

    evaluate("a", "x")
    prompt = ('task.delimiter=": "', "fewshot.k=1", "seed=3")
    evaluate("b", "x", "task.prefix=empty", "task.normaliser=none", *prompt, "precision=bf16")
    evaluate("normaliser", "x", "task.normaliser=none")
    evaluate("other", "y")
    return root


@pytest.fixture
def explain(results: Path, gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(results)
    return lambda a, b, *words: gptkit_command("compare", f"a={a}", f"b={b}", "explain=true", *words)


def test_steps_add_up_to_the_difference(explain: Any, results: Path) -> None:
    outcome = explain("a", "b", "format=json")
    assert outcome.status == 0, outcome.err
    explanation = json.loads(outcome.out)["tasks"]["choice"]["explanation"]
    names = ["evaluated again", "prefix", "normaliser", "prompt", "examples in context", "draws", "precision"]
    assert [step["name"] for step in explanation["steps"]] == names
    assert explanation["steps"][0]["effects"] == {"accuracy": 0.0}
    assert explanation["remainder"] == {"accuracy": 0.0}
    total = sum(step["effects"]["accuracy"] for step in explanation["steps"])
    stored = [json.loads((results / name / "results.json").read_text())["metrics"]["accuracy"]["value"] for name in "ab"]
    assert total == pytest.approx(stored[1] - stored[0])
    assert explanation["steps"][2]["changes"] == [["task.normaliser", "tokens", "none"]]


def test_one_change_is_the_whole_difference(explain: Any) -> None:
    table = explain("a", "normaliser").out
    (line,) = [line for line in table.splitlines() if line.startswith("normaliser")]
    (difference,) = [line for line in table.splitlines() if line.startswith("accuracy")]
    assert line.split()[1] == difference.split()[3]
    assert line.endswith('task.normaliser: "tokens" -> "none"')
    assert "remainder        +0.0000" in table


def test_what_no_step_switches_is_the_remainder_and_is_named(explain: Any, results: Path) -> None:
    shutil.copytree(results / "normaliser", results / "changed", dirs_exist_ok=True)
    content = json.loads((results / "changed" / "results.json").read_text())
    content["metrics"]["accuracy"]["value"] += 0.25
    content["protocol"]["gptkit"] = "0.0.9"
    (results / "changed" / "results.json").write_text(json.dumps(content))
    explanation = json.loads(explain("a", "changed", "format=json").out)["tasks"]["choice"]["explanation"]
    assert explanation["remainder"] == {"accuracy": 0.25}
    ((key, one, other),) = explanation["unexplained"]
    assert (key, other) == ("gptkit", "0.0.9")
    assert one != other


def test_bad_input(explain: Any, results: Path) -> None:
    outcome = explain("a", "other")
    first, second = results / "runs" / "x", results / "runs" / "y"
    message = f"explain=true needs two results of the same weights, and those of {first} and {second} differ"
    assert (outcome.status, outcome.error_line) == (1, f"gptkit: {message}")
    first.rename(results / "moved")
    try:
        gone = explain("a", "normaliser")
        assert gone.status == 1
        assert str(first) in gone.error_line
        shutil.copytree(second, first)
        changed = explain("a", "normaliser")
        shutil.rmtree(first)
    finally:
        (results / "moved").rename(first)
    message = f"explain=true needs two results of the same weights, and {first} does not have those of a"
    assert (changed.status, changed.error_line) == (1, f"gptkit: {message}")
