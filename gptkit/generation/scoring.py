"""Log-probabilities of given continuations under a model.

A context that several continuations share is read once, with the tokens with which all of them begin; and the head is applied only
where a token of a continuation is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.generation.predictions import Predictions, PredictionScores, score_predictions
from gptkit.generation.scoring_batches import TOKENS_PER_PASS, SharedContext, group_by_size, group_contexts, split_continuations
from gptkit.model.base import Model
from gptkit.model.evaluation_mode import decoding_mode


@dataclass(frozen=True)
class TokenSequence:
    """Token ids: a context of at least one token, and the continuation to score, of at least one token."""

    context: list[int]
    continuation: list[int]

    def fit(self, length: int) -> TokenSequence:
        """Truncate on the left to `length` inputs. At least one token remains before every token of the continuation.

        The last token is only predicted, so `length + 1` tokens remain.
        """
        ids = (self.context + self.continuation)[-length - 1 :]
        scored = min(len(self.continuation), len(ids) - 1)
        return TokenSequence(ids[: len(ids) - scored], ids[len(ids) - scored :])

    def __len__(self) -> int:
        return len(self.context) + len(self.continuation)


@dataclass(frozen=True)
class ContinuationScore:
    """The scores of the tokens of a continuation. T excludes tokens that truncation removed."""

    log_probs: Tensor
    """(T,) float32 on the CPU: the log-probability in nats of each token, given all tokens before it."""
    is_greedy: bool
    """Whether every token is the most probable one, so that greedy decoding generates the continuation."""
    is_greedy_filtered: bool
    """The same, if the first token cannot be one of the excluded ones."""


def score_continuations(
    model: Model, sequences: Sequence[TokenSequence], *, rows: int = 0, excluded: Sequence[int] = ()
) -> list[ContinuationScore]:
    """Score the continuation of every sequence. Sequences that are longer than the context of the model are truncated on the left.

    The result for a sequence does not depend on the other sequences, except for rounding.

    Args:
        model: the model; it runs without dropout and gradients.
        sequences: in any order; sequences of similar length share a forward pass.
        rows: maximum number of contexts per forward pass; 0: as many as TOKENS_PER_PASS allows.
        excluded: tokens that cannot be the first one of a continuation, for `ContinuationScore.is_greedy_filtered`.
    """
    fitted = [sequence.fit(model.context) for sequence in sequences]
    by_context: dict[tuple[int, ...], list[int]] = {}
    for index, sequence in enumerate(fitted):
        by_context.setdefault(tuple(sequence.context), []).append(index)
    single = [indices[0] for indices in by_context.values() if len(indices) == 1]
    shared = [
        indices[part]
        for indices in by_context.values()
        if len(indices) > 1
        for part in split_continuations([len(fitted[index]) for index in indices])
    ]
    scores: dict[int, ContinuationScore] = {}
    with decoding_mode(model):
        for batch in group_by_size([len(fitted[index]) - 1 for index in single], rows, TOKENS_PER_PASS):
            part = [single[place] for place in batch]
            scores.update(zip(part, _score_whole(model, [fitted[index] for index in part], excluded), strict=True))
        contexts = [
            SharedContext.of(fitted[indices[0]].context, [fitted[index].continuation for index in indices]) for indices in shared
        ]
        for batch in group_contexts(contexts, rows, next(model.parameters()).device.type):
            part = [index for place in batch for index in shared[place]]
            scores.update(zip(part, _score_shared(model, [contexts[place] for place in batch], excluded), strict=True))
    return [scores[index] for index in range(len(sequences))]


def _score_whole(model: Model, sequences: Sequence[TokenSequence], excluded: Sequence[int]) -> list[ContinuationScore]:
    """Score sequences in one forward pass, padded on the right."""
    device = next(model.parameters()).device
    tokens = pad_sequences((sequence.context + sequence.continuation)[:-1] for sequence in sequences)  # (B, T)
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    predictions = Predictions()
    indices: list[Sequence[int]] = []
    for row, sequence in enumerate(sequences):
        mask[row, len(sequence.context) - 1 : len(sequence) - 1] = True
        indices.append(predictions.add(len(predictions.tokens), sequence.continuation, start=True))
    hidden = model(tokens.to(device))[mask.to(device)]  # (sum of lengths of continuations, D)
    return _scores(score_predictions(model, hidden, predictions, excluded), indices)


def _score_shared(model: Model, groups: Sequence[SharedContext], excluded: Sequence[int]) -> list[ContinuationScore]:
    """Score the options of each of B contexts: one pass over contexts and common tokens, and one over the rests of the options.

    The first token of a rest is predicted at the last common token.
    """
    device = next(model.parameters()).device
    prefixes = [group.prefix for group in groups]
    padded = max(map(len, prefixes)) + max(group.longest_rest for group in groups) - 1
    cache = model.cache(len(groups), min(padded, model.context))
    cache.receive(sequence_lengths(prefixes))
    hidden = model(pad_sequences(prefixes).to(device), cache=cache)  # (B, T, D)
    mask = torch.zeros(hidden.shape[:2], dtype=torch.bool)
    predictions = Predictions()
    indices: list[list[int]] = []
    states = 0
    for row, group in enumerate(groups):
        mask[row, len(group.context) - 1 : len(group.prefix)] = True
        common = predictions.add(states, group.common, start=True)
        states += len(common) + 1
        firsts = [predictions.add(states - 1, rest[:1], start=not group.common) for rest in group.rests]
        indices += [[*common, *first] for first in firsts]
    scores = score_predictions(model, hidden[mask.to(device)], predictions, excluded)

    rows = [row for row, group in enumerate(groups) for rest in group.rests if len(rest) > 1]
    rests = [rest for group in groups for rest in group.rests]
    longer = [index for index, rest in enumerate(rests) if len(rest) > 1]
    if longer:
        cache.select(torch.tensor(rows, device=device))
        inputs = [rests[index][:-1] for index in longer]
        counts = sequence_lengths(inputs)
        if padded > model.context:  # else padding is read like tokens: nothing follows it, and some caches are faster
            cache.receive(counts)
        hidden = model(pad_sequences(inputs).to(device), cache=cache)
        mask = torch.arange(hidden.shape[1]) < counts[:, None]
        predictions, offset = Predictions(), len(scores.log_probs)
        for index in longer:
            added = predictions.add(len(predictions.tokens), rests[index][1:], start=False)
            indices[index] += [offset + prediction for prediction in added]
        scores = scores.joined(score_predictions(model, hidden[mask.to(device)], predictions))
    return _scores(scores, indices)


def _scores(scores: PredictionScores, indices: Sequence[Sequence[int]]) -> list[ContinuationScore]:
    """Return the scores of continuations, given the indices of the predictions of each."""
    order = torch.tensor([index for part in indices for index in part])
    values = (values[order].split([len(part) for part in indices]) for values in vars(scores).values())
    return [
        ContinuationScore(log_probs, bool(best.all()), bool(filtered.all()))
        for log_probs, best, filtered in zip(*values, strict=True)
    ]
