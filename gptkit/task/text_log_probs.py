"""The log-probability of every token of a text under a model, given the text before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences
from gptkit.model.base import Model
from gptkit.objective.log_probs import token_log_probs

TOKENS_PER_PASS = 4096
"""Maximum number of tokens of a forward pass, including padding."""
LOGITS_PER_SLICE = 1 << 24
"""The number of logits that are computed at a time: 64 MiB in float32."""


@dataclass(frozen=True)
class Text:
    """Token ids: a prompt of at least one token, and the continuation to score."""

    prompt: list[int]
    continuation: list[int]


@torch.no_grad()
def text_log_probs(model: Model, texts: Sequence[Text]) -> list[Tensor]:
    """Return, for each text, the log-probabilities of the tokens of its continuation: (T,) float32 on the CPU, in nats.

    A text longer than the context is truncated on the left. T excludes tokens of the continuation that are truncated, or that have
    no remaining token before them.

    Args:
        model: a model in evaluation mode.
        texts: in any order; texts of similar length share a forward pass.
    """
    rows = [(text.prompt + text.continuation)[-model.context - 1 :] for text in texts]
    counts = [min(len(text.continuation), len(row) - 1) for text, row in zip(texts, rows, strict=True)]
    log_probs: list[Tensor] = [torch.empty(0)] * len(texts)
    for indices in _batches([len(row) - 1 for row in rows]):
        batch = _last_log_probs(model, [rows[index] for index in indices], [counts[index] for index in indices])
        for index, values in zip(indices, batch, strict=True):
            log_probs[index] = values
    return log_probs


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Group indices by length, longest first, into batches of at most TOKENS_PER_PASS tokens, padding included."""
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if room == 0:
            batches.append([])
            room = max(1, TOKENS_PER_PASS // max(1, lengths[index]))
        batches[-1].append(index)
        room -= 1
    return batches


def _last_log_probs(model: Model, rows: list[list[int]], counts: list[int]) -> list[Tensor]:
    """Return the log-probabilities of the last `counts` tokens of each row."""
    device = next(model.parameters()).device
    tokens = pad_sequences(row[:-1] for row in rows)
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    for number, (row, count) in enumerate(zip(rows, counts, strict=True)):
        mask[number, len(row) - 1 - count : len(row) - 1] = True
    targets = torch.cat([torch.tensor(row[len(row) - count :]) for row, count in zip(rows, counts, strict=True)]).to(device)
    hidden = model(tokens.to(device))[mask.to(device)]  # (sum of counts, D)
    size = max(1, LOGITS_PER_SLICE // model.vocabulary)
    slices = zip(torch.split(hidden, size), torch.split(targets, size), strict=True)
    log_probs = [token_log_probs(model.logits(part), ids).float().cpu() for part, ids in slices]
    return list(torch.split(torch.cat(log_probs), counts))
