"""Several samples per item: means, pass@k and the majority vote, against slow obvious computations."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptkit.errors import ConfigError
from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.runner import evaluate
from gptkit.evaluation.samples import SampledTask, default_pass_at, pass_at_k
from gptkit.evaluation.task_evaluation import TaskEvaluation, evaluate_task, prepare_task, settings_from_plain
from gptkit.task import ChoiceConfig
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.custom_config import CustomConfig
from gptkit.task.exact_answer import ExactAnswerTask, Problem
from gptkit.task.free_form_config import FreeFormConfig
from gptkit.task.generated_config import ArithmeticConfig, NovelWordsConfig
from gptkit.task.requests import Answer, Generation, GenerationAnswer
from tests.small_models import TOKENIZER, random_model

ANSWERS = {"name": "answers", "path": "answers.jsonl"}
SUBJECT = Subject(random_model(context=64), TOKENIZER)


def exact(count: int, *kinds: str, temperature: float = 1.0) -> ExactAnswerTask:
    problems = [Problem(f"Q{number}", str(number), kinds[number % len(kinds)]) for number in range(count)]
    return ExactAnswerTask(problems, max_new_tokens=4, temperature=temperature)


def score(task: SampledTask, texts: Callable[[int], Sequence[str]]) -> dict[str, float]:
    """Return the metrics if the samples of an item have these texts."""
    scores = [task.score(item, [GenerationAnswer(text) for text in texts(number)]) for number, item in enumerate(task.items())]
    return task.aggregate({name: np.array([each[name] for each in scores]) for name in scores[0]})


@pytest.mark.parametrize("samples", [1, 2, 5, 7])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples: int) -> None:
    for right in range(samples + 1):
        results = [True] * right + [False] * (samples - right)
        for k in range(1, samples + 1):
            subsets = list(itertools.combinations(results, k))
            assert pass_at_k(samples, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


def test_metrics_of_known_samples() -> None:
    task = SampledTask(exact(3, "sum"), 4, [1, 2])
    texts = [["0", "9", "0 ", "8"], ["7", "7", "1", "7"], ["2", "3", "2", "3"]]
    metrics = score(task, lambda number: texts[number])
    assert metrics["accuracy"] == metrics["pass@1"] == pytest.approx((2 + 1 + 2) / 12)
    assert metrics["pass@2"] == pytest.approx((5 / 6 + 3 / 6 + 5 / 6) / 3)
    assert metrics["maj@4"] == pytest.approx(2 / 3)  # the first one of equally frequent answers
    assert list(metrics) == ["accuracy", "pass@1", "pass@2", "maj@4"]


def test_kinds_have_their_own_accuracy_and_pass_at_k_is_the_mean_over_kinds() -> None:
    task = SampledTask(exact(6, "one", "two", "three", "three"), 2)
    metrics = score(task, lambda number: [str(number), "x"] if number < 2 else ["x", "x"])
    assert metrics["one"] == pytest.approx(0.25)  # numbers 0 and 4
    assert metrics["two"] == pytest.approx(0.25)
    assert metrics["three"] == 0.0
    assert metrics["accuracy"] == pytest.approx(0.5 / 3)
    assert metrics["pass@2"] == pytest.approx(1.0 / 3)
    assert metrics["maj@2"] == pytest.approx(1.0 / 3)


def test_oracle_and_wrong_answers() -> None:
    task = SampledTask(exact(4, "sum"), 3)
    assert set(score(task, lambda number: [str(number)] * 3).values()) == {1.0}
    assert set(score(task, lambda number: ["no"] * 3).values()) == {0.0}


@pytest.mark.parametrize(("samples", "expected"), [(1, [1]), (2, [1, 2]), (10, [1, 10]), (64, [1, 10, 64]), (100, [1, 10, 100])])
def test_default_values_of_k(samples: int, expected: list[int]) -> None:
    assert default_pass_at(samples) == expected


def sampled_texts(task: Task, samples: int, **settings: Any) -> list[list[str]]:
    recorded: dict[str, list[str]] = {}

    class Recording(SampledTask):
        def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
            recorded[item.where] = [answer.text for answer in answers if isinstance(answer, GenerationAnswer)]
            return super().score(item, answers)

    evaluate(Recording(task, samples), SUBJECT, **settings)
    return [recorded[item.where] for item in task.items()]


def test_a_sample_depends_on_the_seed_the_item_and_its_number_alone() -> None:
    task = exact(5, "sum")
    many = sampled_texts(task, 6)
    assert [texts[:3] for texts in many] == sampled_texts(task, 3)
    assert many == sampled_texts(task, 6, batch=1)
    assert many != sampled_texts(task, 6, seed=1)
    assert all(len(set(texts)) > 1 for texts in many)
    assert [texts[:1] for texts in many] == sampled_texts(task, 1)


def evaluation(task: Any, **settings: Any) -> TaskEvaluation:
    return TaskEvaluation(task, samples=4, **settings)


@pytest.mark.parametrize("kind", ["arithmetic", "free_form", "custom", "novel_words"])
def test_tasks_with_samples_and_examples_in_a_folder(kind: str, tmp_path: Path) -> None:
    rows = [{"query": f"q{number}", "answers": ["a"], "text": f"t{number}", "answer": "a"} for number in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config: Any = {
        "arithmetic": lambda: ArithmeticConfig(kinds=["2D+", "2D-"], examples=3, temperature=1.0),
        "free_form": lambda: FreeFormConfig(
            data={"name": "answers", "path": str(tmp_path / "rows.jsonl")}, beams=1, temperature=1.0, max_new_tokens=4
        ),
        "custom": lambda: CustomConfig(
            data={"name": "rows", "path": str(tmp_path / "rows.jsonl")}, type="generate", temperature=1.0, max_new_tokens=4
        ),
        "novel_words": lambda: NovelWordsConfig(examples=4, temperature=1.0, max_new_tokens=8),
    }[kind]()
    settings = evaluation(config, fewshot=FewShotConfig(k=1))
    first = evaluate_task(prepare_task(settings), SUBJECT, to=str(tmp_path / "a"))
    assert {"pass@1", "pass@4", "maj@4"} <= first.metrics.keys()
    content = json.loads((tmp_path / "a" / "results.json").read_text())
    assert content["samples"] == content["protocol"]["samples"] == {"n": 4, "pass_at": [1, 4]}
    written = (tmp_path / "a" / "results.json").read_bytes()
    lines = (tmp_path / "a" / "items.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "a" / "items.jsonl").write_text("".join(lines[:2]))
    again = settings_from_plain(content["evaluation"])
    evaluate_task(prepare_task(again), SUBJECT, to=str(tmp_path / "a"))
    assert (tmp_path / "a" / "results.json").read_bytes() == written


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (lambda: ArithmeticConfig(examples=2), "greedy decoding always generates the same one; set task.temperature"),
        (lambda: FreeFormConfig(data=ANSWERS), "set task.beams=1 and task.temperature"),
        (lambda: FreeFormConfig(data=ANSWERS, temperature=1.0), "samples texts, but beam search does not; set task.beams=1"),
        (lambda: ChoiceConfig(), "samples=4 is for tasks that generate texts; remove samples"),
    ],
)
def test_tasks_that_do_not_sample_are_refused(
    config: Callable[[], Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").write_text('{"query": "a", "answers": ["b"]}\n')
    with pytest.raises(ConfigError, match=problem):
        evaluate_task(prepare_task(evaluation(config())), SUBJECT)


def test_k_above_the_number_of_samples_is_refused() -> None:
    settings = TaskEvaluation(ArithmeticConfig(examples=2, temperature=1.0), samples=4, pass_at=[1, 10])
    with pytest.raises(ConfigError, match="pass_at=10 needs at least so many samples; set samples=10 or more"):
        prepare_task(settings)


def test_bleu_of_samples_is_that_of_all_samples(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    (tmp_path / "rows.jsonl").write_text('{"query": "a", "answers": ["the cat sat on the mat"]}\n')
    config = FreeFormConfig(
        data={"name": "answers", "path": str(tmp_path / "rows.jsonl")}, metrics=["bleu"], beams=1, temperature=1.0
    )
    task: Any = config.build()
    texts = ["the cat sat on a mat", "the cat sat on the mat today", "a dog"]
    columns = [task.score(task.items()[0], [GenerationAnswer(text)]) for text in texts]
    expected = task.aggregate({name: np.array([each[name] for each in columns]) for name in columns[0]})
    assert score(SampledTask(task, 3), lambda number: texts) == pytest.approx(expected)


def test_requests_are_repeated_for_every_sample() -> None:
    task = SampledTask(exact(2, "sum"), 3)
    assert [len(item.requests) for item in task.items()] == [3, 3]
    assert all(isinstance(request, Generation) and request.temperature == 1.0 for request in task.items()[0].requests)
