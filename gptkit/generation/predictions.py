"""Log-probabilities of given tokens at given hidden states, where several tokens may be predicted from the same state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gptkit.model.base import Model

CACHED_LOGITS = 1 << 18
"""The number of logits that a CPU normalises at a time: 1 MiB in float32, which is three times as fast as all of them."""
LOGITS_PER_SLICE = 1 << 24
"""The number of logits that are computed at a time: 64 MiB in float32."""


@dataclass
class Predictions:
    """Tokens to score, each with the index of the hidden state that predicts it, in ascending order. One per prediction."""

    states: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    starts: list[bool] = field(default_factory=list)
    """Whether the token is the first one of a continuation."""

    def add(self, state: int, tokens: Sequence[int], *, start: bool) -> range:
        """Add the predictions of consecutive tokens from consecutive states, and return their indices.

        Args:
            state: the hidden state that predicts the first token.
            tokens: the tokens.
            start: whether the first token begins a continuation.
        """
        first = len(self.tokens)
        self.states += range(state, state + len(tokens))
        self.tokens += tokens
        self.starts += [start and number == 0 for number in range(len(tokens))]
        return range(first, len(self.tokens))


@dataclass(frozen=True)
class PredictionScores:
    """The scores of P predictions, on the CPU."""

    log_probs: Tensor
    """(P,) float32: the log-probability of each token in nats."""
    is_best: Tensor
    """(P,) bool: whether each token is the most probable one, the first of equally probable ones."""
    is_best_filtered: Tensor
    """(P,) bool: the same, where the first token of a continuation cannot be one of the excluded ones."""

    def joined(self, other: PredictionScores) -> PredictionScores:
        """Return these scores, followed by others."""
        return PredictionScores(
            torch.cat([self.log_probs, other.log_probs]),
            torch.cat([self.is_best, other.is_best]),
            torch.cat([self.is_best_filtered, other.is_best_filtered]),
        )


def score_predictions(model: Model, hidden: Tensor, predictions: Predictions, excluded: Sequence[int] = ()) -> PredictionScores:
    """Score predictions. The logits of every hidden state are computed once.

    Args:
        model: the model, whose head is applied.
        hidden: (N, D) hidden states.
        predictions: what they predict.
        excluded: tokens that cannot be the first one of a continuation, for `PredictionScores.is_best_filtered`.
    """
    device = hidden.device
    states = torch.tensor(predictions.states, dtype=torch.int64)
    tokens = torch.tensor(predictions.tokens, dtype=torch.int64)
    starts = torch.tensor(predictions.starts, dtype=torch.bool)
    excluded_ids = torch.tensor(list(excluded), dtype=torch.int64, device=device)
    size = max(1, LOGITS_PER_SLICE // model.vocabulary)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in range(0, len(hidden), size):
        logits = model.logits(hidden[first : first + size]).float()  # (n, V)
        low, high = torch.searchsorted(states, torch.tensor([first, first + size])).tolist()
        rows, ids, begins = (values[low:high].to(device) for values in (states - first, tokens, starts))
        is_best = _is_best(logits, rows, ids)
        filtered = is_best
        if excluded:
            allowed = logits[rows[begins]].index_fill(-1, excluded_ids, -torch.inf)
            filtered = is_best.index_put((begins,), allowed.argmax(-1) == ids[begins])
        parts.append((_log_probs(logits, rows, ids).cpu(), is_best.cpu(), filtered.cpu()))
    return PredictionScores(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _log_probs(logits: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
    """Return the log-probabilities of tokens `ids` (P,) in `rows` (P,) of (N, V) logits: (P,).

    On a CPU, a few rows are normalised at a time, which stay in its cache.
    """
    size = max(1, CACHED_LOGITS // logits.shape[-1]) if logits.device.type == "cpu" else max(1, len(logits))
    bounds = torch.searchsorted(rows, torch.arange(0, len(logits) + size, size, device=rows.device)).tolist()
    parts = []
    for number, part in enumerate(torch.split(logits, size)):
        here = slice(bounds[number], bounds[number + 1])
        parts.append(part.log_softmax(-1)[rows[here] - number * size, ids[here]])
    return torch.cat(parts)


def _is_best(logits: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
    """Return whether each token is the most probable one of its row, the first of equally probable ones: (P,) bool.

    The maximum takes a tenth of the time of its position, which only rows whose token reaches it need.
    """
    is_best = logits[rows, ids] == logits.amax(-1)[rows]
    return is_best.index_put((is_best,), logits[rows[is_best]].argmax(-1) == ids[is_best])
