"""The sequential test: its errors under continuous looking, its intervals, and the items that it saves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gptkit.errors import ConfigError
from gptkit.evaluation.answerer import Answerer
from gptkit.evaluation.comparison.sequential import SHARES, confidence_interval, decide, evaluate_until_decided, log_capital
from gptkit.task.base import Columns, Item, Task
from gptkit.task.requests import Answer, Generation, GenerationAnswer

LIMIT = math.log(40)


def streams(kind: str, count: int, length: int) -> NDArray[np.float64]:
    """Streams of differences with mean 0: scores 0 and 1 with many or few ties, and skewed bounded scores."""
    generator = np.random.default_rng(7)
    if kind == "skewed":
        return np.where(generator.random((count, length)) < 0.1, 0.9, -0.1)
    discordant = {"many ties": 0.05, "few ties": 0.9}[kind]
    signs = generator.choice([-1.0, 1.0], size=(count, length))
    return np.where(generator.random((count, length)) < discordant, signs, 0.0)


@pytest.mark.parametrize("kind", ["many ties", "few ties", "skewed"])
def test_looking_after_every_item_decides_wrongly_in_at_most_5_percent(kind: str) -> None:
    wrong = 0
    for part in np.split(streams(kind, 2000, 300), 10):
        wrong += int(((log_capital(part) >= LIMIT).any(axis=1) | (log_capital(-part) >= LIMIT).any(axis=1)).sum())
    assert 0 < wrong <= 0.05 * 2000


def test_capital_is_the_product_of_all_bets() -> None:
    differences = np.random.default_rng(1).uniform(-1, 1, size=30)
    slow = [np.mean([np.prod([1 + share * d for d in differences[: end + 1]]) for share in SHARES]) for end in range(30)]
    assert np.exp(log_capital(differences)) == pytest.approx(np.array(slow), rel=1e-12)


def test_capital_of_scores_0_and_1_is_about_the_uniform_mixture_of_binomials() -> None:
    differences = np.array([1.0] * 14 + [0.0] * 9 + [-1.0] * 4)
    thetas = np.linspace(0.5, 1, 100_001)
    expected = np.mean((2 * thetas) ** 14 * (2 * (1 - thetas)) ** 4)
    assert np.exp(log_capital(differences)[-1]) == pytest.approx(expected, rel=0.01)


def test_better_model_is_found_early() -> None:
    generator = np.random.default_rng(2)
    differences = generator.choice([1.0, -1.0, 0.0], p=[0.3, 0.1, 0.6], size=2000)
    for sign, better in ((1, "b"), (-1, "a")):
        decision = decide(sign * differences)
        assert decision.better == better
        assert decision.items < 200
        assert sign * decision.difference > 0
        assert sign * decision.low > 0 or sign * decision.high > 0
        assert decision.low > 0 or decision.high < 0


def test_equal_results_are_never_decided() -> None:
    decision = decide(np.zeros(500))
    assert (decision.better, decision.items, decision.difference) == (None, 500, 0.0)
    assert decision.low < 0 < decision.high


def test_intervals_cover_the_mean_at_the_time_of_the_decision() -> None:
    generator = np.random.default_rng(3)
    covered, mean = 0, 0.25
    for _ in range(150):
        decision = decide(generator.choice([1.0, -1.0, 0.0], p=[0.4, 0.15, 0.45], size=300))
        covered += decision.low <= mean <= decision.high
    assert covered >= 0.95 * 150


def test_interval_at_the_ends() -> None:
    low, high = confidence_interval(np.ones(50))
    assert high == 1.0
    assert 0.7 < low < 1.0
    low, high = confidence_interval(np.ones(1))
    assert (low < -0.95, high) == (True, 1.0)


class Numbers(Task):
    """Items are the numbers 0 to 499; the answer of a model is a score."""

    def __init__(self, metric: str = "accuracy") -> None:
        self._metric = metric

    def items(self) -> Sequence[Item]:
        return [Item((Generation(str(number), 4),)) for number in range(500)]

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        return {"accuracy": float(answer.text)}

    def aggregate(self, scores: Columns) -> dict[str, float]:
        value = float(scores["accuracy"].mean())
        return {self._metric: value if self._metric == "accuracy" else math.exp(value)}


class Stored(Answerer):
    """Answers with stored scores."""

    def __init__(self, scores: Mapping[int, float]) -> None:
        self.scores, self.asked = scores, 0

    def protocol(self, task: Task) -> dict[str, Any]:
        return {}

    def fits(self, task: Task) -> Any:
        return lambda item: True

    def answer(self, task: Task, items: Sequence[Item], **others: Any) -> Any:
        for place, item in enumerate(items):
            (request,) = item.requests
            assert isinstance(request, Generation)
            self.asked += 1
            yield [(place, [GenerationAnswer(str(self.scores[int(request.prompt)]))])]


def stored(probability: float, seed: int) -> Stored:
    generator = np.random.default_rng(seed)
    return Stored({number: float(generator.random() < probability) for number in range(500)})


def test_evaluation_stops_when_it_is_decided_and_counts_the_items_saved() -> None:
    weak, strong = stored(0.3, 1), stored(0.7, 2)
    result = evaluate_until_decided((Numbers(), Numbers()), (weak, strong), group=20)
    assert result.decision.better == "b"
    assert result.evaluated == weak.asked == strong.asked
    assert result.evaluated % 20 == 0
    assert result.saved == 500 - result.evaluated > 300
    assert result.b - result.a == pytest.approx(result.decision.difference)
    again = evaluate_until_decided((Numbers(), Numbers()), (weak, strong), group=20)
    assert again == result
    swapped = evaluate_until_decided((Numbers(), Numbers()), (strong, weak), group=20)
    assert (swapped.decision.better, swapped.evaluated) == ("a", result.evaluated)
    assert evaluate_until_decided((Numbers(), Numbers()), (weak, strong), group=7).decision == result.decision


def test_without_a_difference_all_items_are_evaluated() -> None:
    model = stored(0.5, 1)
    result = evaluate_until_decided((Numbers(), Numbers()), (model, model))
    assert (result.decision.better, result.evaluated, result.saved) == (None, 500, 0)


def test_metric_must_be_a_mean_of_scores_between_0_and_1() -> None:
    model, large = stored(0.5, 1), Stored(dict.fromkeys(range(500), 3.0))
    for task, answerer, name in ((Numbers("perplexity"), model, "perplexity"), (Numbers(), large, "accuracy")):
        with pytest.raises(ConfigError, match=f"which {name} is not"):
            evaluate_until_decided((task, task), (answerer, answerer))
