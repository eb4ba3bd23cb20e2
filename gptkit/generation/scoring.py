"""Log-probabilities of given continuations under a model.

A context that several continuations share is read once, and the head is applied only where a token of a continuation is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.model.base import Model
from gptkit.model.evaluation_mode import decoding_mode

TOKENS_PER_PASS = 4096
"""Maximum number of tokens of a forward pass, including padding."""
CACHED_TOKENS = 8192
"""Maximum number of tokens in the cache of a forward pass over continuations that share contexts."""
SHARED_TOKENS = {"cpu": 1024}
"""Maximum number of tokens that are read for the contexts and continuations of a batch, padding included, by type of device; by
default CACHED_TOKENS. On a CPU, larger batches have more padding and are not faster."""
CACHED_LOGITS = 1 << 18
"""The number of logits that a CPU normalises at a time: 1 MiB in float32, which is three times as fast as all of them."""
LOGITS_PER_SLICE = 1 << 24
"""The number of logits that are computed at a time: 64 MiB in float32."""


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
    shared = [part for indices in by_context.values() if len(indices) > 1 for part in _split_options(fitted, indices)]
    scores: dict[int, ContinuationScore] = {}
    with decoding_mode(model):
        for batch in group_by_size([len(fitted[index]) - 1 for index in single], rows, TOKENS_PER_PASS):
            part = [single[place] for place in batch]
            scores.update(zip(part, _score_whole(model, [fitted[index] for index in part], excluded), strict=True))
        all_groups = [[fitted[index] for index in indices] for indices in shared]
        budget = SHARED_TOKENS.get(next(model.parameters()).device.type, CACHED_TOKENS)
        for batch in _shared_batches(all_groups, rows, budget):
            groups = [all_groups[place] for place in batch]
            part = [index for place in batch for index in shared[place]]
            scores.update(zip(part, _score_shared(model, groups, excluded), strict=True))
    return [scores[index] for index in range(len(sequences))]


def _split_options(sequences: Sequence[TokenSequence], indices: list[int]) -> Iterator[list[int]]:
    """Split continuations of one context into groups whose cache has at most CACHED_TOKENS tokens."""
    size = max(2, CACHED_TOKENS // max(len(sequences[index]) for index in indices))
    for first in range(0, len(indices), size):
        yield indices[first : first + size]


def group_by_size(sizes: Sequence[int], rows: int, budget: int) -> list[list[int]]:
    """Group indices by size, largest first, into batches of at most `rows` indices and `budget` tokens, padding included."""
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, sizes[index]))
            room = min(room, rows) if rows else room
        batches[-1].append(index)
        room -= 1
    return batches


def _shared_batches(groups: Sequence[Sequence[TokenSequence]], rows: int, budget: int) -> list[list[int]]:
    """Batch the indices of groups with one context each, such that continuations and contexts of a batch have similar lengths.

    Args:
        groups: the continuations of each context.
        rows: maximum number of contexts of a batch; 0: any.
        budget: maximum number of tokens to read, padding included.
    """
    contexts = [len(group[0].context) for group in groups]
    longest = [max(len(sequence.continuation) for sequence in group) for group in groups]
    order = sorted(range(len(groups)), key=lambda index: (-round(2 * math.log2(longest[index])), -contexts[index]))
    batches: list[list[int]] = []
    context = continuation = options = 0
    for index in order:
        context, continuation = max(context, contexts[index]), max(continuation, longest[index])
        options += len(groups[index])
        count = len(batches[-1]) + 1 if batches else 1
        is_full = count * context + options * continuation > budget or options * (context + continuation) > CACHED_TOKENS
        if not batches or is_full or (rows and count > rows):
            batches.append([])
            context, continuation, options = contexts[index], longest[index], len(groups[index])
        batches[-1].append(index)
    return batches


def _score_whole(model: Model, sequences: Sequence[TokenSequence], excluded: Sequence[int]) -> list[ContinuationScore]:
    """Score sequences in one forward pass, padded on the right."""
    device = next(model.parameters()).device
    rows = [sequence.context + sequence.continuation for sequence in sequences]
    tokens = pad_sequences(row[:-1] for row in rows)  # (B, T)
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    for number, sequence in enumerate(sequences):
        mask[number, len(sequence.context) - 1 : len(sequence) - 1] = True
    hidden = model(tokens.to(device))[mask.to(device)]  # (sum of lengths of continuations, D)
    return _scores(model, hidden, [sequence.continuation for sequence in sequences], excluded)


def _score_shared(model: Model, groups: Sequence[Sequence[TokenSequence]], excluded: Sequence[int]) -> list[ContinuationScore]:
    """Score several continuations of each of B contexts: one pass over the contexts, and one over the continuations.

    The first token of a continuation is predicted at the last token of its context.
    """
    device = next(model.parameters()).device
    contexts = [group[0].context for group in groups]
    sequences = [sequence for group in groups for sequence in group]  # R
    rows = torch.tensor([row for row, group in enumerate(groups) for _ in group], device=device)  # (R,)
    padded = max(map(len, contexts)) + max(len(sequence.continuation) for sequence in sequences) - 1
    cache = model.cache(len(contexts), min(padded, model.context))
    counts = sequence_lengths(contexts)  # (B,)
    cache.receive(counts)
    hidden = model(pad_sequences(contexts).to(device), cache=cache)  # (B, T, D)
    last = hidden[torch.arange(len(contexts), device=device), counts.to(device) - 1]  # (B, D)
    first = _scores(model, last[rows], [sequence.continuation[:1] for sequence in sequences], excluded)
    longer = [index for index, sequence in enumerate(sequences) if len(sequence.continuation) > 1]
    if not longer:
        return first
    cache.select(rows[torch.tensor(longer, device=device)])
    inputs = [sequences[index].continuation[:-1] for index in longer]
    counts = sequence_lengths(inputs)
    if padded > model.context:  # else padding is read like tokens: nothing follows it, and some caches are faster
        cache.receive(counts)
    hidden = model(pad_sequences(inputs).to(device), cache=cache)
    mask = torch.arange(hidden.shape[1]) < counts[:, None]
    rest = _scores(model, hidden[mask.to(device)], [sequences[index].continuation[1:] for index in longer])
    for index, score in zip(longer, rest, strict=True):
        log_probs = torch.cat([first[index].log_probs, score.log_probs])
        first[index] = ContinuationScore(
            log_probs, first[index].is_greedy and score.is_greedy, first[index].is_greedy_filtered and score.is_greedy
        )
    return first


def _scores(
    model: Model, hidden: Tensor, continuations: Sequence[list[int]], excluded: Sequence[int] = ()
) -> list[ContinuationScore]:
    """Score continuations, given the hidden states (N, D) at which their N tokens are predicted."""
    targets = torch.tensor([token for ids in continuations for token in ids], device=hidden.device)  # (N,)
    size = max(1, LOGITS_PER_SLICE // model.vocabulary)
    lengths = [len(ids) for ids in continuations]
    is_first = torch.zeros(len(targets), dtype=torch.bool, device=hidden.device)
    is_first[torch.tensor([0, *lengths[:-1]], device=hidden.device).cumsum(0)] = True
    log_probs, is_greedy, is_greedy_filtered = [], [], []
    for states, ids, starts in zip(torch.split(hidden, size), torch.split(targets, size), torch.split(is_first, size), strict=True):
        logits = model.logits(states).float()  # (n, V)
        log_probs.append(_log_probs(logits, ids).cpu())
        is_best = _is_best(logits, ids)
        is_greedy.append(is_best.cpu())
        if excluded:
            allowed = logits[starts].index_fill(-1, torch.tensor(excluded, device=logits.device), -torch.inf)
            is_best = is_best.index_put((starts,), allowed.argmax(-1) == ids[starts])
        is_greedy_filtered.append(is_best.cpu())
    parts = (torch.split(torch.cat(values), lengths) for values in (log_probs, is_greedy, is_greedy_filtered))
    return [
        ContinuationScore(values, bool(greedy.all()), bool(filtered.all())) for values, greedy, filtered in zip(*parts, strict=True)
    ]


def _log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the log-probabilities of tokens: (N, V), (N,) -> (N,). On a CPU, a few rows at a time, which stay in its cache."""
    size = max(1, CACHED_LOGITS // logits.shape[-1]) if logits.device.type == "cpu" else len(logits)
    parts = zip(torch.split(logits, size), torch.split(ids, size), strict=True)
    return torch.cat([part.log_softmax(-1).gather(-1, tokens[:, None]).squeeze(-1) for part, tokens in parts])


def _is_best(logits: Tensor, ids: Tensor) -> Tensor:
    """Return whether each token is the most probable one, the first of equally probable ones: (N, V), (N,) -> (N,) bool.

    The maximum takes a tenth of the time of its position, which only rows whose token reaches it need.
    """
    is_best = logits.gather(-1, ids[:, None]).squeeze(-1) == logits.amax(-1)
    return is_best.index_put((is_best.clone(),), logits[is_best].argmax(-1) == ids[is_best])
