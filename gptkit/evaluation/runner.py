"""Answers the requests of a task with a model, and scores the answers.

Items are sorted by length and cut into batches of whole items. The batches depend on the items alone, so an evaluation that was
stopped computes the remaining items in the same batches, and gets the same answers to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import numpy as np
from torch import Tensor

from gptkit.errors import DataError, GptkitError
from gptkit.evaluation.encoding import EncodedRequest, RequestEncoder
from gptkit.generation.beam_search import beam_search
from gptkit.generation.engine import continue_token_ids
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.scoring import ContinuationScore, score_continuations
from gptkit.task.base import Columns, Item, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, Generation, GenerationAnswer, LogLikelihoodAnswer

TOKENS_PER_BATCH = 16384
"""Minimum number of tokens of the items of a batch, except for the last one."""


@dataclass(frozen=True)
class ScoredItem:
    """The scores of an item, and the number of its requests that were truncated."""

    scores: dict[str, float]
    truncated: int = 0


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


def evaluate(
    task: Task,
    subject: Subject,
    *,
    seed: int = 0,
    batch: int = 0,
    store: ItemStore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Results:
    """Evaluate a task. The model and the random number generators are not changed.

    Args:
        task: the task.
        subject: the model and its tokenizer.
        seed: seed of the random numbers of sampled texts.
        batch: maximum number of sequences per forward pass; 0: as many as fit a fixed number of tokens. Log-probabilities
            change only by rounding.
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
    encoder = RequestEncoder(task, subject.tokenizer, context=subject.model.context)
    encoded = [encoder.encode_item(item) for item in items]
    excluded = encoder.excluded if task.excluded_words else None
    for places in _batches([sum(map(len, requests)) for requests in encoded]):
        if all(identifiers[place] in scored for place in places):
            continue
        answers = _answer(
            subject, [(place, items[place], encoded[place]) for place in places], seed=seed, batch=batch, excluded=excluded
        )
        for place, each in zip(places, answers, strict=True):
            if identifiers[place] not in scored:
                truncated = sum(request.truncated > 0 for request in encoded[place])
                result = ScoredItem(task.score(items[place], each), truncated)
                scored[identifiers[place]] = result
                if store is not None:
                    store.add(identifiers[place], items[place], each, result)
        if store is not None:
            store.flush()
        if progress is not None:
            progress(len(scored), len(items))
    in_order = [scored[identifier] for identifier in identifiers]
    columns = {name: np.array([each.scores[name] for each in in_order], dtype=np.float64) for name in in_order[0].scores}
    return Results(
        task.aggregate(columns), columns, sum(each.truncated for each in in_order), sum(len(item.requests) for item in items)
    )


def item_ids(items: Sequence[Item]) -> list[str]:
    """Return a stable identifier of each item: its position, and a hash of its requests and its target."""
    identifiers = []
    for position, item in enumerate(items):
        content = json.dumps([[asdict(request) for request in item.requests], item.target], ensure_ascii=True, sort_keys=True)
        identifiers.append(f"{position}-{hashlib.sha256(content.encode()).hexdigest()[:16]}")
    return identifiers


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield batches of the positions of items of similar length, longest first."""
    batch: list[int] = []
    tokens = 0
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        batch.append(position)
        tokens += lengths[position]
        if tokens >= TOKENS_PER_BATCH:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch


Encoded = tuple[int, Item, list[EncodedRequest]]


def _answer(
    subject: Subject, items: Sequence[Encoded], *, seed: int, batch: int, excluded: Sequence[int] | None
) -> list[list[Answer]]:
    """Answer the requests of some items, each with its position.

    Args:
        subject: the model and its tokenizer.
        items: the items.
        seed: see `evaluate`.
        batch: see `evaluate`.
        excluded: tokens that cannot begin a continuation, for `is_greedy_filtered`; None: the task does not use it.
    """
    requests = [
        (position, number, request, encoded)
        for position, item, all_encoded in items
        for number, (request, encoded) in enumerate(zip(item.requests, all_encoded, strict=True))
    ]
    sequences = [
        sequence for *_, request, encoded in requests if not isinstance(request, Generation) for sequence in encoded.sequences
    ]
    scores = iter(score_continuations(subject.model, sequences, rows=batch, excluded=excluded or ()) if sequences else ())
    texts = _generate(subject, requests, seed=seed, batch=batch)
    answers: dict[int, list[Answer]] = {position: [] for position, *_ in items}
    for position, number, request, encoded in requests:
        if isinstance(request, Generation):
            answers[position].append(GenerationAnswer(texts[position, number], encoded.truncated))
        else:
            answer = _log_likelihood([next(scores) for _ in encoded.sequences], encoded.truncated)
            answers[position].append(answer if excluded is not None else replace(answer, is_greedy_filtered=None))
    return list(answers.values())


def _generate(
    subject: Subject, requests: Sequence[tuple[int, int, object, EncodedRequest]], *, seed: int, batch: int
) -> dict[tuple[int, int], str]:
    """Return the generated texts by position of the item and number of the request."""
    groups: dict[Generation, list[tuple[int, int, list[int]]]] = {}
    for position, number, request, encoded in requests:
        if isinstance(request, Generation):
            settings = replace(request, prompt="")
            groups.setdefault(settings, []).append((position, number, encoded.sequences[0].context))
    texts: dict[tuple[int, int], str] = {}
    for settings, group in groups.items():
        if settings.beams > 1:
            texts |= {(position, number): _best_text(subject, prompt, settings) for position, number, prompt in group}
            continue
        params = SamplingParams(settings.max_new_tokens, settings.temperature, top_k=settings.top_k, stop=settings.stop, seed=seed)
        continuations = continue_token_ids(
            subject.model,
            subject.tokenizer,
            [prompt for *_, prompt in group],
            params,
            items=[position * MAX_REQUESTS + number for position, number, _ in group],
            **({"batch": batch} if batch else {}),
        )
        texts |= {
            (position, number): continuation.text for (position, number, _), continuation in zip(group, continuations, strict=True)
        }
    return texts


def _best_text(subject: Subject, prompt: Sequence[int], settings: Generation) -> str:
    return beam_search(
        subject.model,
        subject.tokenizer,
        prompt,
        beams=settings.beams,
        alpha=settings.length_penalty,
        max_new_tokens=settings.max_new_tokens,
        stop=settings.stop,
    ).text


MAX_REQUESTS = 1 << 20
"""Upper limit of the number of requests of an item, to number the requests of all items."""


def _log_likelihood(scores: Sequence[ContinuationScore], truncated: int) -> LogLikelihoodAnswer:
    """Join the scores of the windows of a request."""
    log_probs = tuple(value for score in scores for value in _shortest(score.log_probs))
    if not all(map(math.isfinite, log_probs)):
        raise GptkitError("log-probabilities of the model are not finite; use precision=fp32, or check its weights")
    is_greedy, is_greedy_filtered = all(score.is_greedy for score in scores), all(score.is_greedy_filtered for score in scores)
    return LogLikelihoodAnswer(log_probs, is_greedy, truncated, is_greedy_filtered)


def _shortest(log_probs: Tensor) -> list[float]:
    """Return numbers with as few digits as determine the float32 values, so that files and memory hold the same numbers."""
    return [float(str(value)) for value in log_probs.numpy()]
