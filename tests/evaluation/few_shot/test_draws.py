"""Fixed draws of examples: what they depend on, and which items remain to be evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gptkit.errors import ConfigError
from gptkit.evaluation.few_shot.draws import ExampleDraws
from gptkit.task.base import Item, Task
from gptkit.task.requests import LogLikelihood

ITEMS = [Item((LogLikelihood(f"Is {n} odd?", " no"), LogLikelihood(f"Is {n} odd?", " yes")), n % 2) for n in range(40)]


class Questions(Task):
    def __init__(self, items: Sequence[Item] = ITEMS) -> None:
        self._items = items

    def items(self) -> Sequence[Item]:
        return self._items

    def solution(self, item: Item) -> str:
        request = item.requests[item.target]
        assert isinstance(request, LogLikelihood)
        return request.context + request.continuation

    def score(self, item: Item, answers: Any) -> dict[str, float]:
        return {"accuracy": 0.0}


def draws_of(pool: Sequence[Item] = ITEMS, items: Sequence[Item] = ITEMS, **settings: Any) -> ExampleDraws:
    return ExampleDraws(Questions(items), pool, **{"k": 4, "draws": 3, **settings})


def test_draws_do_not_depend_on_the_order_of_the_pool() -> None:
    one, other = draws_of(), draws_of(pool=ITEMS[::-1])
    assert one.by_group == other.by_group
    assert one.pool_fingerprint == other.pool_fingerprint


def test_draws_for_a_smaller_k_begin_those_for_a_larger_k() -> None:
    small, large = draws_of(k=2), draws_of(k=7)
    assert all(large.examples(draw)[:2] == small.examples(draw) for draw in range(3))


def test_more_draws_continue_the_first_ones() -> None:
    assert draws_of(draws=5).by_group[:3] == draws_of().by_group


def test_draws_differ_from_each_other_and_between_seeds() -> None:
    draws = draws_of()
    assert len({tuple(draws.examples(draw)) for draw in range(3)}) == 3
    assert draws.by_group != draws_of(seed=1).by_group


def test_items_of_any_draw_are_not_evaluated() -> None:
    draws = draws_of()
    drawn = [item for draw in range(3) for item in draws.examples(draw)]
    remaining = draws.task.items()
    assert not any(item in drawn for item in remaining)
    assert draws.items_left_out == len(set(drawn)) == len(ITEMS) - len(remaining)


def test_copies_of_an_example_are_not_evaluated_either() -> None:
    copies = [replace(item, where="elsewhere") for item in ITEMS]
    assert draws_of(items=copies).items_left_out == draws_of().items_left_out


def test_separate_pool_leaves_no_item_out() -> None:
    draws = draws_of(pool=ITEMS[:20], items=ITEMS[20:])
    assert draws.items_left_out == 0
    assert all(item in ITEMS[:20] for item in draws.examples(0))


def test_every_group_has_its_own_examples() -> None:
    grouped = [replace(item, group="low" if place < 20 else "high") for place, item in enumerate(ITEMS)]
    draws = draws_of(pool=grouped, items=grouped)
    assert {group: len(items) for group, items in draws.by_group[0].items()} == {"low": 4, "high": 4}
    assert all(item.group == group for group, items in draws.by_group[1].items() for item in items)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 41}, "fewshot.k=41 is larger than the pool, which has 40 examples; choose a smaller k"),
        ({"k": 2, "pool": ITEMS[:1]}, "larger than the pool, which has 1 example; choose"),
        ({"k": 40}, "fewshot.k=40 and 3 draws leave no item to evaluate"),
    ],
)
def test_too_few_examples_are_reported(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draws_of(**settings)
