"""Tasks described by templates: the three types, examples in context, and errors in one line."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.few_shot.task import FewShotTask
from gptkit.evaluation.runner import evaluate
from gptkit.task import CustomConfig
from gptkit.task.base import Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Generation, GenerationAnswer, LogLikelihood
from tests.small_models import TOKENIZER, random_model, slow_log_probs
from tests.task.conftest import metrics_of_answers

ROWS: list[dict[str, Any]] = [
    {"question": f"Is {n} even?", "choices": ["yes", "no", "perhaps"], "gold": n % 2, "topic": f"t{n % 2}"} for n in range(12)
]
Custom = Callable[..., Task]


@pytest.fixture
def custom(tmp_path: Path) -> Custom:
    """`custom(rows, key=value)`: the task on the rows of a .jsonl file."""

    def build(rows: list[dict[str, Any]] = ROWS, **settings: Any) -> Task:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        defaults = {"prompt": "Q: {{ question }}\nA:", "answer": "gold"}
        return CustomConfig(**defaults | settings, data={"name": "rows", "path": str(path)}).build()

    return build


def metrics_of_texts(task: Task, texts: list[str]) -> dict[str, float]:
    rows = [task.score(item, [GenerationAnswer(text)]) for item, text in zip(task.items(), texts, strict=True)]
    return task.aggregate({name: np.array([row[name] for row in rows]) for name in rows[0]})


def test_a_choice_has_one_request_per_option(custom: Custom) -> None:
    item = custom(options="choices", group="topic").items()[1]
    assert item.requests == tuple(LogLikelihood("Q: Is 1 even?\nA:", f" {option}") for option in ("yes", "no", "perhaps"))
    assert (item.target, item.group) == (1, "t1")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_have_the_same_items(custom: Custom, tmp_path: Path, suffix: str) -> None:
    rows = [{"question": row["question"], "gold": ["yes", "no"][row["gold"]]} for row in ROWS]
    path = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        mark = {".csv": ",", ".tsv": "\t"}[suffix]
        path.write_text("".join(mark.join(row.values()) + "\n" for row in [{"question": "question", "gold": "gold"}, *rows]))
    settings: Any = {"prompt": "Q: {{ question }}\nA:", "options": "['yes', 'no', 'perhaps']", "answer": "gold"}
    items = CustomConfig(**settings, data={"name": "rows", "path": str(path)}).build().items()
    assert [(item.requests, item.target) for item in items] == [
        (item.requests, item.target) for item in custom(options="choices").items()
    ]


def test_oracle_first_and_chance_score_what_they_must(custom: Custom) -> None:
    task = custom(options="choices")
    assert task.chance() == {"accuracy": pytest.approx(1 / 3)}
    assert metrics_of_answers(task, lambda item: int(item.target)) == {"accuracy": 1.0}
    assert metrics_of_answers(task, lambda item: 0) == {"accuracy": 0.5}
    many = custom(ROWS * 100, options="choices")
    numbers = random.Random(0)
    assert metrics_of_answers(many, lambda item: numbers.randrange(3))["accuracy"] == pytest.approx(1 / 3, abs=0.05)


def test_examples_in_context_are_of_the_same_group(custom: Custom) -> None:
    task = custom(options="choices", group="topic", separator="\n--\n")
    (request, *_) = FewShotTask(task, task.pool(), k=5).items()[1].requests
    assert isinstance(request, LogLikelihood)
    examples = request.context.split("\n--\n")
    assert examples[-1] == "Q: Is 1 even?\nA:"
    assert sorted(examples[:-1]) == sorted(f"Q: Is {n} even?\nA: no" for n in range(3, 12, 2))


def test_a_continuation_is_scored_by_its_log_probability(custom: Custom) -> None:
    settings: dict[str, Any] = {"type": "loglikelihood", "prompt": "{{ a }}", "answer": "b"}
    task = custom([{"a": "the sea", "b": "the sea"}], **settings)
    assert task.items()[0].requests == (LogLikelihood("the sea", " the sea"),)
    assert task.solution(task.items()[0]) == "the sea the sea"
    model = random_model()
    metrics = evaluate(task, Subject(model, TOKENIZER)).metrics
    log_probs = slow_log_probs(model, TOKENIZER.encode("the sea"), TOKENIZER.encode(" the sea"))
    assert metrics == {"accuracy": 0.0, "perplexity": pytest.approx(math.exp(-sum(log_probs)), rel=1e-4)}


def test_a_generated_text_is_compared_with_the_answer(custom: Custom) -> None:
    rows = [{"question": "Why?", "gold": "A"}, {"question": "How?", "gold": ["B", "b"]}]
    task = custom(rows, type="generate", metrics=["accuracy", "f1"], stop=["\n", "Q:"], max_new_tokens=8)
    assert task.items()[0].requests == (Generation("Q: Why?\nA:", 8, stop=("\n", "Q:")),)
    assert metrics_of_texts(task, [" A", " b"])["accuracy"] == 1.0
    assert metrics_of_texts(task, [" a", ""])["accuracy"] == 0.0  # SQuAD's exact_match would remove the article
    assert task.solution(task.items()[1]) == "Q: How?\nA: B"
    assert task.chance() == {"accuracy": 0.0, "f1": 0.0}


def test_the_answer_is_extracted_by_a_regular_expression(custom: Custom) -> None:
    rows = [{"question": "x", "gold": "12"}, {"question": "y", "gold": "7"}]
    task = custom(rows, type="generate", extract=r"answer is (\d+)", metrics=["exact_match", "f1"])
    assert metrics_of_texts(task, ["So the answer is 12.", "I say 7"]) == {"exact_match": 0.5, "f1": 0.5}
    whole = custom(rows, type="generate", extract=r"\d+")
    assert metrics_of_texts(whole, ["12 apples, 3 pears", "none"]) == {"accuracy": 0.5}


def test_an_expression_that_takes_too_long_is_refused(custom: Custom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.task.extraction.MAX_SECONDS", 0.2)
    task = custom([{"question": "x", "gold": "y"}], type="generate", extract=r"(a|aa)+$")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: task\.extract=.* takes longer than .* avoid repetitions"):
        metrics_of_texts(task, ["a" * 40 + "c"])


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (
            {},
            {"options": "choices", "prompt": "{{ q }}"},
            r"rows\.jsonl:1: task\.prompt: 'q' is undefined; the fields are question",
        ),
        ({}, {"options": "question"}, r"rows\.jsonl:1: task\.options must be a list of at least two texts"),
        ({"choices": ["a", ""]}, {"options": "choices"}, r"rows\.jsonl:1: task\.options must be a list of at least two texts"),
        ({"gold": 7}, {"options": "choices"}, r"rows\.jsonl:1: task\.answer is '7'; it must be .* 0 to 2, or its text"),
        ({"gold": "1"}, {"options": "choices"}, r"rows\.jsonl:1: task\.answer is '1'; .*filter int"),
        ({"gold": None}, {"options": "choices"}, r"rows\.jsonl:1: task\.answer is 'None'"),
        ({"gold": []}, {"type": "generate"}, r"rows\.jsonl:1: task\.answer must be a text or a list of texts"),
        ({"gold": ["a", "b"]}, {"type": "loglikelihood"}, r"rows\.jsonl:1: task\.answer must be a text that is not empty"),
    ],
)
def test_rows_that_do_not_fit_are_named(custom: Custom, row: dict[str, Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        custom([ROWS[0] | row], **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"task\.options must be an expression of the list of options"),
        ({"type": "generate", "options": "choices"}, r"task\.type=generate has no options"),
        ({"type": "generate", "extract": "(a"}, r"task\.extract is not a regular expression: missing \)"),
        ({"options": "[a"}, r"task\.options: line 1: "),
        ({"options": "choices", "prompt": "{% for %}"}, r"task\.prompt: line 1: "),
    ],
)
def test_settings_that_contradict_each_other_are_refused(custom: Custom, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        custom(**settings)


def test_other_sources_have_their_fields_as_variables(tmp_path: Path) -> None:
    path = tmp_path / "piqa.jsonl"
    path.write_text(json.dumps({"query": "How?", "choices": ["so", "thus"], "gold": 1}) + "\n")
    config = CustomConfig(prompt="{{ text }}", options="options", answer="label", data={"name": "choices", "path": str(path)})
    (item,) = config.build().items()
    assert item.requests == (LogLikelihood("How?", " so"), LogLikelihood("How?", " thus"))
    assert item.target == 1
