"""Examples in context: which are drawn, where they stand in the requests, and what happens if there are too few or too many."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import ConfigError
from gptkit.evaluation.encoding import RequestEncoder
from gptkit.evaluation.few_shot.task import FewShotTask, permutation
from gptkit.evaluation.runner import evaluate
from gptkit.plugins import registry
from gptkit.task import AcceptabilityConfig, ChoiceConfig
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import LogLikelihood
from tests.small_models import TOKENIZER, random_model
from tests.task.conftest import metrics_of_answers

ROWS = [{"query": f"What is {n}?", "choices": ["even", "odd"], "gold": n % 2} for n in range(30)]
SOLUTIONS = {f"What is {n}? {'odd' if n % 2 else 'even'}" for n in range(30)}


@pytest.fixture
def choice(tmp_path: Path) -> Callable[..., Task]:
    """`choice(key=value)`: the task on the rows."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return lambda **settings: ChoiceConfig(data={"name": "choices", "path": str(path)}, **settings).build()


def examples_of(item: Item) -> list[str]:
    request = item.requests[0]
    assert isinstance(request, LogLikelihood)
    return request.context.split("\n\n")[:-1]


def test_examples_are_solved_and_never_the_item_itself(choice: Callable[..., Task]) -> None:
    task = choice()
    items = FewShotTask(task, task.pool(), k=5).items()
    for bare, item in zip(task.items(), items, strict=True):
        examples = examples_of(item)
        assert len(set(examples)) == 5
        assert set(examples) <= SOLUTIONS - {task.solution(bare)}
        for short, long in zip(bare.requests, item.requests, strict=True):
            assert isinstance(short, LogLikelihood) and isinstance(long, LogLikelihood)
            assert long.context == "".join(example + "\n\n" for example in examples) + short.context
            assert long.continuation == short.continuation
        assert item.target == bare.target


def test_all_other_examples_of_the_file_can_be_shown(choice: Callable[..., Task]) -> None:
    task = choice()
    for bare, item in zip(task.items(), FewShotTask(task, task.pool(), k=29).items(), strict=True):
        assert set(examples_of(item)) == SOLUTIONS - {task.solution(bare)}


def test_draws_depend_on_the_seed_and_the_item_alone(choice: Callable[..., Task]) -> None:
    whole, part = choice(), choice(examples=3)
    drawn = {item.requests[0].context.split("\n\n")[-1]: examples_of(item) for item in few(whole)}
    assert all(drawn[item.requests[0].context.split("\n\n")[-1]] == examples_of(item) for item in few(part))
    assert [examples_of(item) for item in few(whole)] != [examples_of(item) for item in few(whole, seed=1)]
    assert len({tuple(examples) for examples in drawn.values()}) > 20  # each item has its own


def few(task: Task, *, k: int = 4, seed: int = 0) -> Any:
    return FewShotTask(task, task.pool(), k=k, seed=seed).items()


def test_a_larger_k_continues_the_examples_of_a_smaller_one(choice: Callable[..., Task]) -> None:
    task = choice()
    for one, ten in zip(few(task, k=1), few(task, k=10), strict=True):
        assert examples_of(ten)[:1] == examples_of(one)


def test_every_example_is_equally_likely_in_every_position() -> None:
    counts = [[0] * 5 for _ in range(5)]
    for key in range(2000):
        for position, number in enumerate(permutation(5, key)):
            counts[position][number] += 1
    assert all(320 < count < 480 for row in counts for count in row)  # 400 expected, standard deviation 18
    assert sorted(permutation(50, 3)) == list(range(50))


def test_separator_is_that_of_the_settings(choice: Callable[..., Task]) -> None:
    task = choice()
    item = FewShotTask(task, task.pool(), k=2, separator="\n###\n").items()[0]
    request = item.requests[0]
    assert isinstance(request, LogLikelihood) and request.context.count("\n###\n") == 2


def test_examples_precede_the_question_but_not_the_answer_context(choice: Callable[..., Task]) -> None:
    item = few(choice(normaliser="answer_context"), k=2)[0]
    assert [request.context.count("\n\n") for request in item.requests] == [2, 2, 0, 0]
    assert {request.context for request in item.requests[2:]} == {"Answer:"}


def test_k_above_the_pool_is_refused(choice: Callable[..., Task]) -> None:
    task = choice()
    with pytest.raises(ConfigError, match=r"fewshot\.k=30 is larger than the pool, which has 29 examples besides"):
        FewShotTask(task, task.pool(), k=30)


def test_task_without_solutions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nOne.,1\nTwo.,0\nThree.,1\n")
    task = AcceptabilityConfig(data={"name": "labelled", "path": str(tmp_path / "a.csv")}, threshold=-1.0).build()
    with pytest.raises(ConfigError, match=r"no solutions to show as examples; remove fewshot\.k"):
        FewShotTask(task, task.pool(), k=1)


def test_examples_that_do_not_fit_the_context_are_left_out_and_counted(choice: Callable[..., Task]) -> None:
    model = random_model(context=64)  # bytes: the question with an option has up to 19, an example up to 20
    task = choice()
    encoder = RequestEncoder(task, TOKENIZER, context=model.context)
    few_shot = FewShotTask(task, task.pool(), k=10, fits=lambda item: not any(each.truncated for each in encoder.encode_item(item)))
    counts = [len(examples_of(item)) for item in few_shot.items()]
    assert set(counts) == {2}
    assert few_shot.statistics.items_with_fewer == 30
    assert few_shot.statistics.mean == 2.0
    assert evaluate(few_shot, Subject(model, TOKENIZER)).truncated == 0


def test_oracle_and_chance_are_those_of_the_task(choice: Callable[..., Task]) -> None:
    task = choice()
    few_shot = FewShotTask(task, task.pool(), k=3)
    assert metrics_of_answers(few_shot, lambda item: item.target) == {"accuracy": 1.0}
    assert metrics_of_answers(few_shot, lambda item: 0) == {"accuracy": 0.5}
    assert few_shot.chance() == {"accuracy": 0.5}


def test_protocol_names_the_pool(choice: Callable[..., Task]) -> None:
    task = choice()
    whole, half = FewShotTask(task, task.pool(), k=2), FewShotTask(task, task.pool()[:15], k=2)
    assert whole.protocol["k"] == 2
    assert whole.protocol["pool"] != half.protocol["pool"]


def test_examples_are_split_into_questions_and_answers(choice: Callable[..., Task]) -> None:
    task = choice()
    for item in FewShotTask(task, task.pool(), k=3).items():
        (request, *_) = item.requests
        assert isinstance(request, LogLikelihood)
        assert "".join(example.text for example in item.solved) == request.context[: item.examples]
        for example in item.solved:
            assert example.text == f"{example.question}{example.answer}\n\n"
            assert example.question.startswith("What is ") and example.answer in (" even", " odd")


@pytest.mark.parametrize(
    "config",
    [
        {"name": "arithmetic", "kinds": ["2D+"], "examples": 4},
        {"name": "novel_words", "examples": 4},
        {"name": "word_scramble", "kinds": ["CL"], "examples": 4},
    ],
)
def test_examples_of_generated_problems_are_questions_and_answers(config: dict[str, Any]) -> None:
    task: Task = registry().resolve("task", config).build()
    for item in task.items():
        pair = task.question_and_answer(item)
        assert pair is not None
        assert all(part.strip() for part in pair)
        assert "".join(pair) == task.solution(item)
