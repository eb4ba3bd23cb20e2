"""Runs a task: an answerer answers the requests of its items, the task scores the answers, and a store keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from gptkit.errors import DataError
from gptkit.evaluation.answerer import Answerer
from gptkit.evaluation.model_answerer import as_answerer
from gptkit.task.base import Columns, Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer


@dataclass(frozen=True)
class ScoredItem:
    """The scores of an item, and the number of its requests that were truncated."""

    scores: dict[str, float]
    truncated: int = 0
    option_scores: tuple[float, ...] = ()
    """See `Task.option_scores`."""
    draw: int | None = None
    """The number of the draw of examples, if there are several."""


class ItemStore(Protocol):
    """Keeps the items that have been scored, so that an evaluation can be resumed."""

    @property
    def scored(self) -> Mapping[str, ScoredItem]:
        """The items that earlier processes scored, by id."""

    def add(self, identifier: str, item: Item, answers: Sequence[Answer], scored: ScoredItem) -> None:
        """Add an item."""

    def flush(self) -> None:
        """Save what was added."""


@dataclass(frozen=True)
class Results:
    """The scores of all items, in the order of the task, and the metrics of the task."""

    metrics: dict[str, float]
    """The main one first."""
    columns: Columns
    truncated: int
    """The number of requests that were longer than the context of the model."""
    requests: int
    option_scores: Sequence[tuple[float, ...]] = ()
    """The score of each option of each item; see `Task.option_scores`."""


def evaluate(
    task: Task,
    subject: Subject | Answerer,
    *,
    seed: int = 0,
    batch: int = 0,
    store: ItemStore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Results:
    """Evaluate a task. The model and the random number generators are not changed.

    Args:
        task: the task.
        subject: the model and its tokenizer, or whatever answers the requests.
        seed: seed of the random numbers of sampled texts.
        batch: maximum number of sequences per forward pass; 0: as many as fit a fixed number of tokens. Log-probabilities
            change only by rounding. For a server, the maximum number of requests at a time.
        store: keeps the scored items, and provides those of an evaluation that was stopped.
        progress: receives the number of items that are scored, and the number of all items.

    Raises:
        DataError: there are no items, or an item has nothing to score.
        GptkitError: a log-probability is not finite.
    """
    items = task.items()
    if not items:
        raise DataError("the task has no items")
    identifiers = item_ids(items)
    earlier = {} if store is None else store.scored
    scored = {identifier: earlier[identifier] for identifier in identifiers if identifier in earlier}
    answerer = as_answerer(subject)
    done = {position for position, identifier in enumerate(identifiers) if identifier in scored}
    for group in answerer.answer(task, items, done=done, seed=seed, batch=batch):
        for position, answers in group:
            identifier = identifiers[position]
            if identifier not in scored:
                result = ScoredItem(
                    task.score(items[position], answers),
                    sum(answer.truncated > 0 for answer in answers),
                    tuple(task.option_scores(items[position], answers)),
                )
                scored[identifier] = result
                if store is not None:
                    store.add(identifier, items[position], answers, result)
        if store is not None:
            store.flush()
        if progress is not None:
            progress(len(scored), len(items))
    in_order = [scored[identifier] for identifier in identifiers]
    columns = {name: np.array([each.scores[name] for each in in_order], dtype=np.float64) for name in in_order[0].scores}
    return Results(
        task.aggregate(columns),
        columns,
        sum(each.truncated for each in in_order),
        sum(len(item.requests) for item in items),
        [each.option_scores for each in in_order],
    )


def item_ids(items: Sequence[Item]) -> list[str]:
    """Return a stable identifier of each item: its position, and a hash of its requests and its target."""
    identifiers = []
    for position, item in enumerate(items):
        content = json.dumps([[asdict(request) for request in item.requests], item.target], ensure_ascii=True, sort_keys=True)
        identifiers.append(f"{position}-{hashlib.sha256(content.encode()).hexdigest()[:16]}")
    return identifiers


def draw_item_id(identifier: str, draw: int) -> str:
    """Return the identifier of an item in one of several draws of examples."""
    return f"{identifier}.{draw}"


def split_draw(identifier: str) -> tuple[str, int]:
    """Return the identifier of an item and the number of its draw, 0 if there are no draws.

    Raises:
        ValueError: the number is none.
    """
    item, _, draw = identifier.partition(".")
    return item, int(draw or 0)
