"""The runner: answers to all types of requests, and scores that depend on nothing but the task, the model and the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from gptkit.errors import DataError, GptkitError
from gptkit.evaluation import model_answerer
from gptkit.evaluation.runner import evaluate, item_ids
from gptkit.generation import generate
from gptkit.task.base import Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import (
    Answer,
    Generation,
    GenerationAnswer,
    LogLikelihood,
    LogLikelihoodAnswer,
    Request,
    RollingLogLikelihood,
)
from tests.small_models import END, TOKENIZER, random_model, slow_log_probs

MODEL = random_model()
SUBJECT = Subject(MODEL, TOKENIZER)


class Recorder(Task):
    """Keeps the answers to some requests."""

    def __init__(self, *requests: Request) -> None:
        self.requests = requests
        self.answers: list[Answer] = []

    def items(self) -> Sequence[Item]:
        return [Item((request,), target=number) for number, request in enumerate(self.requests)]

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        self.answers += answers
        return {"one": 1.0}


class Options(Task):
    """Questions with options of different lengths, in any order."""

    def __init__(self, order: Sequence[int]) -> None:
        self.order = order

    def items(self) -> Sequence[Item]:
        return [self.item(number) for number in self.order]

    def item(self, number: int) -> Item:
        draw = random.Random(number)
        text = "".join(draw.choices("abcdefgh ", k=draw.randrange(30)))
        requests = [LogLikelihood(text, "".join(draw.choices("abcdefgh", k=draw.randrange(1, 9)))) for _ in range(3)]
        return Item((*requests, RollingLogLikelihood(text + "!")), target=number % 3)

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        means = [answer.mean for answer in answers if isinstance(answer, LogLikelihoodAnswer)]
        return {"accuracy": float(means.index(max(means[:3])) == item.target), "mean": means[3]}


def only_answer(request: Request) -> Answer:
    task = Recorder(request)
    evaluate(task, SUBJECT)
    return task.answers[0]


def test_log_likelihood_is_that_of_every_token() -> None:
    answer = only_answer(LogLikelihood("ab", "cde"))
    assert isinstance(answer, LogLikelihoodAnswer)
    expected = slow_log_probs(MODEL, TOKENIZER.encode("ab"), TOKENIZER.encode("cde"))
    assert answer.log_probs == pytest.approx(expected, abs=1e-5)
    assert answer.total == pytest.approx(sum(expected), abs=1e-5)
    assert answer.mean == pytest.approx(sum(expected) / 3, abs=1e-5)


def test_rolling_log_likelihood_gives_every_token_the_longest_context() -> None:
    text = "abcdefgh" * 9
    answer = only_answer(RollingLogLikelihood(text, stride=1))
    assert isinstance(answer, LogLikelihoodAnswer)
    assert answer.log_probs == pytest.approx(slow_log_probs(MODEL, [END], TOKENIZER.encode(text)), abs=1e-5)
    disjoint = only_answer(RollingLogLikelihood(text))
    assert isinstance(disjoint, LogLikelihoodAnswer)
    assert len(disjoint.log_probs) == len(text)
    assert disjoint.log_probs != answer.log_probs


def test_generation_continues_greedily_and_ends_before_a_stop_string() -> None:
    answer = only_answer(Generation("ab", max_new_tokens=8))
    ((expected,),) = generate(MODEL, TOKENIZER, ["ab"], max_new_tokens=8, temperature=0)
    assert answer == GenerationAnswer(expected.text)
    stop = expected.text[3]
    answer = only_answer(Generation("ab", max_new_tokens=8, stop=(stop,)))
    assert answer == GenerationAnswer(expected.text[: expected.text.index(stop)])


def test_sampled_texts_depend_on_the_seed_and_not_on_the_batch() -> None:
    requests = [Generation(text, max_new_tokens=6, temperature=1.0) for text in ("a", "bc", "def", "bc")]

    def sample(seed: int, batch: int) -> list[Answer]:
        task = Recorder(*requests)
        evaluate(task, SUBJECT, seed=seed, batch=batch)
        return task.answers

    assert sample(0, 1) == sample(0, 3) == sample(0, 0)
    assert sample(0, 1) != sample(1, 1)
    assert sample(0, 1)[1] != sample(0, 1)[3]  # equal prompts have their own random numbers


def test_batch_size_order_and_batches_of_items_do_not_change_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = range(60)
    expected = evaluate(Options(numbers), SUBJECT)
    for batch in (1, 7, 64):
        results = evaluate(Options(numbers), SUBJECT, batch=batch)
        assert results.metrics["accuracy"] == expected.metrics["accuracy"]
        assert results.columns["mean"] == pytest.approx(expected.columns["mean"], abs=1e-5)
    order = random.Random(0).sample(numbers, 60)
    shuffled = evaluate(Options(order), SUBJECT)
    assert shuffled.columns["accuracy"].tolist() == [expected.columns["accuracy"][number] for number in order]
    monkeypatch.setattr(model_answerer, "TOKENS_PER_BATCH", 100)
    assert evaluate(Options(numbers), SUBJECT).metrics["accuracy"] == expected.metrics["accuracy"]


def test_truncated_requests_are_counted() -> None:
    results = evaluate(Recorder(LogLikelihood("a" * 30, "b"), LogLikelihood("a", "b"), Generation("a" * 30, 4)), SUBJECT)
    assert (results.truncated, results.requests) == (2, 3)


def test_evaluation_leaves_weights_and_random_numbers_unchanged() -> None:
    before = {name: tensor.clone() for name, tensor in MODEL.state_dict().items()}
    state = torch.get_rng_state()
    evaluate(Recorder(LogLikelihood("a", "b"), Generation("a", 4, temperature=1.0)), SUBJECT)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in MODEL.state_dict().items())


def test_ids_are_stable_and_depend_on_content_and_position() -> None:
    first, again, other = (item_ids(Recorder(LogLikelihood("a", x), LogLikelihood("a", "c")).items()) for x in ("b", "b", "d"))
    assert first == again
    assert first[0] != other[0]
    assert first[1] == other[1]


def test_task_without_items_and_damaged_models_are_reported() -> None:
    with pytest.raises(DataError, match="the task has no items"):
        evaluate(Recorder(), SUBJECT)
    broken = random_model()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(GptkitError, match="log-probabilities of the model are not finite"):
        evaluate(Recorder(LogLikelihood("a", "b")), Subject(broken, TOKENIZER))
