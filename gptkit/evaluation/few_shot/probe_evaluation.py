"""Evaluates a task by linear probes on the hidden states of a frozen model, one per draw of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gptkit.evaluation.encoding import EncodedRequest, RequestEncoder
from gptkit.evaluation.few_shot.draws import ExampleDraws, options_of
from gptkit.evaluation.few_shot.linear_probe import Features, LinearProbe, fit_probe
from gptkit.evaluation.model_answerer import group_items
from gptkit.evaluation.runner import ItemStore, Results, ScoredItem, item_ids
from gptkit.generation.hidden_states import last_hidden_states
from gptkit.task.requests import Answer, LogLikelihood, ProbeAnswer

if TYPE_CHECKING:
    from gptkit.task.base import Options
    from gptkit.task.comparison import Subject


def evaluate_probes(
    draws: ExampleDraws,
    subject: Subject,
    *,
    batch: int = 0,
    stores: Sequence[ItemStore | None],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Results], list[LinearProbe]]:
    """Fit a probe to the examples of every draw, and choose the options of all other items with each of them.

    The hidden states of an item are computed once for all draws.

    Args:
        draws: the examples, and the task without them.
        subject: the model and its tokenizer.
        batch: maximum number of sequences per forward pass; 0: as many as fit a fixed number of tokens.
        stores: the store of each draw.
        progress: receives the number of items of all draws that are scored, and their number in total.

    Returns:
        The results and the probe of each draw.

    Raises:
        ConfigError: the task has no options, or the examples of a draw have one class only.
    """
    task = draws.task
    items = task.items()
    options = options_of(task, items, "linear_probe")
    reader = _FeatureReader(subject, RequestEncoder(task, subject.tokenizer, context=subject.model.context), batch)
    probes = []
    for draw in range(len(draws)):
        examples = options_of(task, draws.examples(draw), "linear_probe")
        probes.append(fit_probe(examples, reader.features([reader.encode(each) for each in examples]), draw=draw))
    identifiers = item_ids(items)
    scored = [
        {} if store is None else {each: store.scored[each] for each in identifiers if each in store.scored} for store in stores
    ]
    encoded = [reader.encode(each) for each in options]
    for places in group_items([sum(map(len, each)) for each in encoded]):
        if all(identifiers[place] in done for place in places for done in scored):
            continue
        features = reader.features([encoded[place] for place in places])
        for probe, store, done in zip(probes, stores, scored, strict=True):
            for place, each in zip(places, features, strict=True):
                identifier = identifiers[place]
                if identifier in done:
                    continue
                values = probe.decision_values(each)
                cut = [request.truncated for request in encoded[place]]
                cut = cut * len(values) if options[place].classes else cut
                answers: list[Answer] = [ProbeAnswer(*pair) for pair in zip(values, cut, strict=True)]
                chosen = int(np.argmax([-np.inf if value is None else value for value in values]))
                done[identifier] = ScoredItem(task.score_choice(items[place], chosen), sum(number > 0 for number in cut))
                if store is not None:
                    store.add(identifier, items[place], answers, done[identifier])
            if store is not None:
                store.flush()
        if progress is not None:
            progress(sum(map(len, scored)), len(probes) * len(items))
    requests = sum(len(each.texts) for each in options)
    return [_results(draws, [done[each] for each in identifiers], requests) for done in scored], probes


def _results(draws: ExampleDraws, scored: Sequence[ScoredItem], requests: int) -> Results:
    columns = {name: np.array([each.scores[name] for each in scored], dtype=np.float64) for name in scored[0].scores}
    return Results(draws.task.aggregate(columns), columns, sum(each.truncated for each in scored), requests)


class _FeatureReader:
    """Computes the hidden states that a probe reads."""

    def __init__(self, subject: Subject, encoder: RequestEncoder, batch: int) -> None:
        self._subject, self._encoder, self._batch = subject, encoder, batch

    def encode(self, options: Options) -> list[EncodedRequest]:
        """Return the texts of an item as token ids: that of its class, or each of its options."""
        texts = [LogLikelihood("", options.text)] if options.classes else options.texts
        return [self._encoder.encode_continuation(text) for text in texts]

    def features(self, encoded: Sequence[Sequence[EncodedRequest]]) -> list[Features]:
        """Return the last hidden states of the texts of some items: (texts, F) each."""
        sequences = [request.sequences[0] for each in encoded for request in each]
        rows = [sequence.context + sequence.continuation for sequence in sequences]
        states = last_hidden_states(self._subject.model, rows, rows=self._batch).numpy()
        ends = np.cumsum([len(each) for each in encoded])
        return np.split(states, ends[:-1])
