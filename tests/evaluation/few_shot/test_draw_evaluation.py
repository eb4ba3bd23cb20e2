"""A task on fixed draws: all modes share them, a stopped evaluation continues, and the results do not depend on batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import ConfigError
from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.task_evaluation import TaskEvaluation, TaskResult, evaluate_task, prepare_task
from gptkit.task import ArithmeticConfig, ChoiceConfig, NextWordConfig
from gptkit.task.comparison import Subject
from tests.small_models import TOKENIZER, random_model

MODES = ("in_context", "linear_probe", "fine_tune")
Evaluate = Callable[..., TaskResult]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """`evaluate(mode, to=..., batch=..., key=value)`: a task whose right options end with an exclamation mark."""
    rows = [
        {"query": f"Q{n}", "choices": [f"a{n % 7}{'?!'[n % 2]}", f"b{n % 5}{'!?'[n % 2]}"], "gold": 1 - n % 2} for n in range(40)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(mode: str, *, to: str | None = None, batch: int = 0, task: Any = None, seed: int = 0, **settings: Any) -> TaskResult:
        config = task or ChoiceConfig(data={"name": "choices", "path": str(path)})
        fewshot = FewShotConfig(**{"k": 6, "mode": mode, "draws": 2, "epochs": 40, "lr": 5e-3, **settings})
        prepared = prepare_task(TaskEvaluation(config, fewshot=fewshot, seed=seed))
        folder = None if to is None else str(tmp_path / to)
        return evaluate_task(prepared, Subject(random_model(context=48), TOKENIZER), to=folder, batch=batch)

    return run


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def test_learning_modes_find_the_planted_signal(evaluate: Evaluate) -> None:
    for mode in ("linear_probe", "fine_tune"):
        assert evaluate(mode, k=12, epochs=60).metrics["accuracy"].value > 0.75, mode


def test_all_modes_evaluate_the_same_items_on_the_same_draws(evaluate: Evaluate, tmp_path: Path) -> None:
    contents = {mode: evaluate(mode, to=mode).content for mode in MODES}
    items = {mode: {line["item"] for line in lines_of(tmp_path / mode)} for mode in MODES}
    assert items["in_context"] == items["linear_probe"] == items["fine_tune"]
    pools = {json.loads((tmp_path / mode / "results.json").read_text())["protocol"]["fewshot"]["pool"] for mode in MODES}
    assert len(pools) == 1
    left_out = contents["in_context"]["draws"]["items_left_out"]
    assert 6 < left_out <= 12
    assert len(items["in_context"]) == 2 * (40 - left_out)
    assert all(content["items"] == 40 - left_out for content in contents.values())


def test_every_draw_has_its_metrics_and_answers(evaluate: Evaluate, tmp_path: Path) -> None:
    result = evaluate("linear_probe", to="probe")
    written = json.loads((tmp_path / "probe" / "results.json").read_text())
    each = written["draws"]["each"]
    assert [set(draw) for draw in each] == [{"metrics", "C", "folds"}] * 2
    assert written["metrics"]["accuracy"]["value"] == pytest.approx(sum(draw["metrics"]["accuracy"] for draw in each) / 2)
    assert written["metrics"]["accuracy"]["standard_deviation"] is not None
    lines = lines_of(tmp_path / "probe")
    assert {line["draw"] for line in lines} == {0, 1}
    for line in lines:
        values = [answer["decision_value"] for answer in line["answers"]]
        assert line["scores"]["accuracy"] == float(values[line["target"]] == max(values))
    assert result.results.columns["accuracy"].shape == (written["items"],)


@pytest.mark.parametrize("mode", MODES)
def test_stopped_evaluation_continues_by_item_and_draw(evaluate: Evaluate, tmp_path: Path, mode: str) -> None:
    evaluate(mode, to="whole")
    evaluate(mode, to="parts")
    path = tmp_path / "parts" / "items.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2 + 3]) + lines[-1][:20])
    (tmp_path / "parts" / "results.json").unlink()
    evaluate(mode, to="parts")
    assert (tmp_path / "parts" / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()
    assert sorted(path.read_text().splitlines()) == sorted((tmp_path / "whole" / "items.jsonl").read_text().splitlines())


@pytest.mark.parametrize("mode", MODES)
def test_size_of_batches_does_not_change_the_scores(evaluate: Evaluate, mode: str) -> None:
    one, other = evaluate(mode, batch=1), evaluate(mode, batch=7)
    assert one.metrics == other.metrics


def test_k_and_the_number_of_draws_are_another_evaluation(evaluate: Evaluate) -> None:
    evaluate("linear_probe", to="probe")
    for settings in ({"k": 5}, {"draws": 3}):
        with pytest.raises(ConfigError, match=r"holds another evaluation: .*fewshot\.(k|draws) is"):
            evaluate("linear_probe", to="probe", **settings)


def test_labels_are_classes_of_the_text(tmp_path: Path, evaluate: Evaluate) -> None:
    rows = [f"text {n} {'+-'[n % 2]},{['good', 'bad'][n % 2]}" for n in range(60)]
    (tmp_path / "labels.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    task = NextWordConfig(data={"name": "labelled", "path": str(tmp_path / "labels.csv")}, suffix="")
    result = evaluate("linear_probe", task=task, to="labels", k=16)
    assert result.metrics["accuracy"].value > 0.85
    assert len(lines_of(tmp_path / "labels")[0]["answers"]) == 2


def test_in_context_examples_are_the_same_for_all_items_of_a_draw(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate("in_context", to="context", k=2)
    contexts: dict[int, set[str]] = {}
    for line in lines_of(tmp_path / "context"):
        contexts.setdefault(line["draw"], set()).add(line["requests"][0]["context"].rpartition("\n\n")[0])
    assert [len(examples) for examples in contexts.values()] == [1, 1]
    assert contexts[0] != contexts[1]


def test_in_context_without_draws_has_examples_for_every_item(evaluate: Evaluate, tmp_path: Path) -> None:
    result = evaluate("in_context", to="own", k=2, draws=0)
    assert "draws" not in result.content
    assert len({line["requests"][0]["context"].rpartition("\n\n")[0] for line in lines_of(tmp_path / "own")}) > 20


def test_other_modes_have_five_draws_by_default() -> None:
    assert [FewShotConfig(k=4, mode=mode).fixed_draws for mode in MODES] == [0, 5, 5]


@pytest.mark.parametrize("mode", ["linear_probe", "fine_tune"])
def test_tasks_without_options_are_refused(evaluate: Evaluate, mode: str) -> None:
    task = ArithmeticConfig(kinds=["1DC"], examples=20)
    with pytest.raises(ConfigError, match=f"fewshot.mode={mode} needs a task that chooses one of several options"):
        evaluate(mode, task=task)


def test_modes_that_learn_need_examples(evaluate: Evaluate) -> None:
    with pytest.raises(ConfigError, match=r"fewshot.mode=linear_probe learns from examples; set their number with fewshot\.k"):
        evaluate("linear_probe", k=0)


def test_calibration_is_that_of_the_options_of_all_draws(evaluate: Evaluate, tmp_path: Path) -> None:
    for mode, has_calibration in (("in_context", True), ("fine_tune", True), ("linear_probe", False)):
        content = evaluate(mode, to=mode).content
        assert ("calibration" in content) == has_calibration
        if has_calibration:
            assert content["calibration"]["options"] == 2 * 2 * content["items"]  # draws and options


def test_protocol_names_what_decides_the_scores(evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.task.choice.Choice.scoring", {"library": "2.0"}, raising=False)
    evaluate("in_context", to="a")
    assert json.loads((tmp_path / "a" / "results.json").read_text())["protocol"]["scoring"] == {"library": "2.0"}
