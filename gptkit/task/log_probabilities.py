"""The log-probability of every token of a text under a model, given what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences
from gptkit.model.base import Model

TOKENS_AT_ONCE = 4096
"""Of a pass, padding included."""
LOGITS_AT_ONCE = 1 << 24
"""Entries held at a time: 64 MiB in fp32."""


@dataclass(frozen=True)
class Text:
    """Ids: what is read first, at least one, and what is scored."""

    before: list[int]
    scored: list[int]


@torch.no_grad()
def log_probabilities(model: Model, texts: Sequence[Text]) -> list[Tensor]:
    """For each of N texts a tensor (T,) fp32 on the CPU, in nats: that of its scored tokens.

    A text that is longer than the context loses tokens at its beginning; scored ones that go with them, or that are left without
    one before them, are not in T.

    Args:
        model: in evaluation mode.
        texts: in any order; those that are read together are of similar length.
    """
    ids = [(text.before + text.scored)[-model.context - 1 :] for text in texts]
    counts = [min(len(text.scored), len(kept) - 1) for text, kept in zip(texts, ids, strict=True)]
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    for places in _batches([len(kept) - 1 for kept in ids]):
        read = _scored(model, [ids[place] for place in places], [counts[place] for place in places])
        for place, values in zip(places, read, strict=True):
            found[place] = values
    return found


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places by length, the longest first, so many together that padded they have at most TOKENS_AT_ONCE tokens."""
    batches: list[list[int]] = []
    room = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if room == 0:
            batches.append([])
            room = max(1, TOKENS_AT_ONCE // max(1, lengths[place]))
        batches[-1].append(place)
        room -= 1
    return batches


def _scored(model: Model, rows: list[list[int]], counts: list[int]) -> list[Tensor]:
    """The last `counts` tokens of each row."""
    device = next(model.parameters()).device
    tokens = pad_sequences(row[:-1] for row in rows)
    wanted = torch.zeros(tokens.shape, dtype=torch.bool)
    for number, (row, count) in enumerate(zip(rows, counts, strict=True)):
        wanted[number, len(row) - 1 - count : len(row) - 1] = True
    targets = torch.cat([torch.tensor(row[len(row) - count :]) for row, count in zip(rows, counts, strict=True)]).to(device)
    hidden = model(tokens.to(device))[wanted.to(device)]  # (sum of counts, D)
    found = []
    step = max(1, LOGITS_AT_ONCE // model.vocabulary)
    for first in range(0, len(hidden), step):
        logits = model.logits(hidden[first : first + step]).float()
        found.append(logits.log_softmax(-1).gather(-1, targets[first : first + step, None]).squeeze(-1).cpu())
    return list(torch.split(torch.cat(found), counts))
