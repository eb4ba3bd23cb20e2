"""Evaluates a task on fixed draws of examples: in context, by a linear probe, or by fine-tuning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gptkit.errors import ConfigError
from gptkit.evaluation.encoding import RequestEncoder
from gptkit.evaluation.few_shot.draw_intervals import DrawMetric, add_draw_intervals
from gptkit.evaluation.few_shot.draws import ExampleDraws, options_of
from gptkit.evaluation.few_shot.fine_tuning import BETAS, CLIP, LM_WEIGHT, WEIGHT_DECAY, fine_tune, updates_of
from gptkit.evaluation.few_shot.linear_probe import FOLDS, STRENGTHS
from gptkit.evaluation.few_shot.pool import with_fixed_examples
from gptkit.evaluation.few_shot.probe_evaluation import evaluate_probes
from gptkit.evaluation.few_shot.task import FewShotStatistics
from gptkit.evaluation.model_answerer import ModelAnswerer
from gptkit.evaluation.runner import ItemStore, Results, ScoredItem, draw_item_id, evaluate, item_ids

if TYPE_CHECKING:
    from gptkit.evaluation.answerer import Answerer
    from gptkit.evaluation.config import FewShotConfig
    from gptkit.task.base import Item, Task
    from gptkit.task.comparison import Subject
    from gptkit.task.requests import Answer


@dataclass(frozen=True)
class DrawResults:
    """The results of all draws."""

    metrics: dict[str, DrawMetric]
    """The means over the draws, the main one first."""
    results: Results
    """The means over the draws of the scores of every item, the number of requests of all draws together, and the scores of options
    of the first draw, then of the second, and so on."""
    content: dict[str, Any]
    """The section `draws` of results.json."""
    statistics: FewShotStatistics
    """How many examples the items of all draws have."""


def draws_protocol(draws: ExampleDraws, settings: FewShotConfig, separator: str) -> dict[str, Any]:
    """Return what decides the examples and how the model learns from them, as plain JSON values."""
    shared = {
        "mode": settings.mode,
        "k": settings.k,
        "draws": len(draws),
        "pool": draws.pool_fingerprint,
        "items_left_out": draws.items_left_out,
    }
    if settings.mode == "in_context":
        return {**shared, "separator": separator if settings.separator is None else settings.separator}
    if settings.mode == "linear_probe":
        return {**shared, "C": list(STRENGTHS), "folds": FOLDS, "standardised": True}
    return {
        **shared,
        "epochs": settings.epochs,
        "lr": settings.lr,
        "batch": settings.batch,
        "optimizer": {"name": "adamw", "betas": list(BETAS), "weight_decay": WEIGHT_DECAY, "clip": CLIP},
        "lm_weight": LM_WEIGHT,
    }


def draws_note(draws: ExampleDraws, settings: FewShotConfig) -> str:
    """Return a sentence about the draws."""
    count = len(draws)
    return (
        f"{settings.mode}: mean of {count} draw{'s' * (count != 1)} of {settings.k:,} example{'s' * (settings.k != 1)}; "
        f"{draws.items_left_out:,} items that are in a draw are left out"
    )


def evaluate_draws(
    draws: ExampleDraws,
    answerer: Answerer,
    settings: FewShotConfig,
    *,
    seed: int = 0,
    batch: int = 0,
    store: ItemStore | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DrawResults:
    """Evaluate the items that are in no draw, once for every draw. The model is not changed.

    Args:
        draws: the examples, and the task without them.
        answerer: what answers the requests; only in context, it may be another one than a model in this process.
        settings: how the model learns from the examples.
        seed: seed of sampled texts and of fine-tuning.
        batch: maximum number of sequences per forward pass; 0: as many as fit a fixed number of tokens.
        store: keeps the scored items of all draws, and provides those of an evaluation that was stopped.
        progress: receives the number of items of all draws that are scored, and their number in total.

    Raises:
        ConfigError: the task or the examples do not fit the mode.
        DataError: an item has nothing to score.
        GptkitError: a log-probability is not finite.
    """
    items = len(draws.task.items())

    def show(draw: int) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, _: progress(draw * items + done, len(draws) * items)

    stores = [None if store is None else DrawStore(store, draws.task, draw) for draw in range(len(draws))]
    statistics = FewShotStatistics(settings.k, float(settings.k), 0)
    details: list[dict[str, Any]]
    if settings.mode == "in_context":
        tasks = [with_fixed_examples(draws.task, examples, settings, answerer) for examples in draws.by_group]
        results = []
        for draw, task in enumerate(tasks):
            view = stores[draw]
            if view is not None:
                view.rename(task)
            results.append(evaluate(task, answerer, seed=seed, batch=batch, store=view, progress=show(draw)))
        counts = [task.statistics for task in tasks]
        details = [{"examples_in_context": each.mean} for each in counts]
        statistics = FewShotStatistics(
            settings.k, float(np.mean([each.mean for each in counts])), sum(each.items_with_fewer for each in counts)
        )
    elif settings.mode == "linear_probe":
        results, probes = evaluate_probes(draws, _subject(answerer, settings), batch=batch, stores=stores, progress=progress)
        details = [{"C": probe.C, "folds": probe.folds} for probe in probes]
    else:
        results = []
        updates = updates_of(len(draws.examples(0)), settings)
        details = [{"updates": updates} for _ in range(len(draws))]
        for draw, tuned in enumerate(_fine_tuned(draws, _subject(answerer, settings), settings, seed, stores)):
            results.append(evaluate(draws.task, tuned, seed=seed, batch=batch, store=stores[draw], progress=show(draw)))
    metrics = add_draw_intervals([each.columns for each in results], draws.task.aggregate, draws.task.subset_scores)
    mean_columns = {name: np.mean([each.columns[name] for each in results], axis=0) for name in results[0].columns}
    joined = Results(
        {name: metric.value for name, metric in metrics.items()},
        mean_columns,
        sum(each.truncated for each in results),
        sum(each.requests for each in results),
        [scores for each in results for scores in each.option_scores],
    )
    each_draw = [{"metrics": result.metrics, **detail} for result, detail in zip(results, details, strict=True)]
    content = {"mode": settings.mode, "k": settings.k, "items_left_out": draws.items_left_out, "each": each_draw}
    return DrawResults(metrics, joined, content, statistics)


def _subject(answerer: Answerer, settings: FewShotConfig) -> Subject:
    if not isinstance(answerer, ModelAnswerer):
        raise ConfigError(f"fewshot.mode={settings.mode} reads the weights of a model; use fewshot.mode=in_context for a server")
    return answerer.subject


def _fine_tuned(
    draws: ExampleDraws, subject: Subject, settings: FewShotConfig, seed: int, stores: Sequence[DrawStore | None]
) -> Iterator[Subject]:
    """Yield the model fine-tuned on the examples of each draw; as it is for a draw whose items have all been scored."""
    encoder = RequestEncoder(draws.task, subject.tokenizer, context=subject.model.context)
    needed = set(item_ids(draws.task.items()))
    all_options = [options_of(draws.task, draws.examples(draw), settings.mode) for draw in range(len(draws))]
    for draw, options in enumerate(all_options):
        store = stores[draw]
        if store is not None and needed <= set(store.scored):
            yield subject
            continue
        sequences = [encoder.encode_continuation(each.texts[each.right]).sequences[0] for each in options]
        key = hashlib.sha256(json.dumps([seed, draw]).encode()).digest()[:8]
        yield replace(subject, model=fine_tune(subject.model, sequences, settings, seed=int.from_bytes(key, "big")))


class DrawStore:
    """The part of a store with the items of one draw. Its identifiers are those of the items without examples, and the draw."""

    def __init__(self, store: ItemStore, task: Task, draw: int) -> None:
        self._store, self._draw = store, draw
        self._stored = {identifier: draw_item_id(identifier, draw) for identifier in item_ids(task.items())}
        self.scored: Mapping[str, ScoredItem] = self._read()

    def rename(self, task: Task) -> None:
        """Use the identifiers of the items of another task, which has the same items with examples in context."""
        self._stored = dict(zip(item_ids(task.items()), self._stored.values(), strict=True))
        self.scored = self._read()

    def _read(self) -> dict[str, ScoredItem]:
        earlier = self._store.scored
        return {identifier: earlier[stored] for identifier, stored in self._stored.items() if stored in earlier}

    def add(self, identifier: str, item: Item, answers: Sequence[Answer], scored: ScoredItem) -> None:
        self._store.add(self._stored[identifier], item, answers, replace(scored, draw=self._draw))

    def flush(self) -> None:
        self._store.flush()
