"""From logits to the next token, as pure functions. Shapes: B rows, V vocabulary, C candidates.

A row's randomness is a list of numbers that depends on (seed, prompt, sample) alone, one number per token, so that a text does not
depend on what else is in its batch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HEAD = 1024
"""Candidates among which the nucleus is looked for before the whole vocabulary is sorted."""


def uniforms(seed: int, prompt: int, sample: int, count: int) -> NDArray[np.float64]:
    """`count` numbers in [0, 1) for one sequence; a longer list begins like a shorter one."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed % 2**64, prompt, sample)))).random(count)


def candidates(logits: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> tuple[Tensor, Tensor | None]:
    """The tokens that may come next and their probabilities.

    First the temperature, then the `top_k` most probable, then of these the most probable whose probabilities together reach
    `top_p` ("The Curious Case of Neural Text Degeneration", section 3.1).

    Args:
        logits: (B, V).
        temperature: above 0.
        top_k: 0: no limit.
        top_p: in (0, 1].

    Returns:
        (B, C) float64 probabilities, 0 for those excluded, and their (B, C) ids, or None where candidate c is token c.
    """
    scores = logits.double()
    scores = (scores - scores.amax(dim=-1, keepdim=True)) / temperature  # largest 0: no temperature overflows
    ids: Tensor | None = None
    if 0 < top_k < scores.shape[-1]:
        scores, ids = scores.topk(top_k, dim=-1)  # (B, k), falling
    chances = scores.softmax(dim=-1)
    if top_p >= 1.0:
        return chances, ids
    if ids is None:
        full = chances.shape[-1]
        chances, ids = (head := chances.topk(min(HEAD, full), dim=-1)).values, head.indices
        if chances.shape[-1] < full and bool((chances.sum(dim=-1) < top_p).any()):
            chances, ids = scores.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    before = chances.cumsum(dim=-1) - chances  # probability of all that are more probable
    chances = chances.masked_fill(before >= top_p, 0.0)
    return chances / chances.sum(dim=-1, keepdim=True), ids


def draw(chances: Tensor, numbers: Tensor) -> Tensor:
    """The candidate at which the running sum of probabilities passes the row's number: (B, C), (B,) in [0, 1) -> (B,) int64."""
    sums = chances.cumsum(dim=-1)  # (B, C)
    total = sums[:, -1]
    target = torch.minimum(numbers * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(sums, target.unsqueeze(-1), right=True).squeeze(-1)


def sample(logits: Tensor, numbers: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """The next token of each row: (B, V), (B,) float64 in [0, 1) -> (B,) int64. Temperature 0 takes the most probable."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    chances, ids = candidates(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    chosen = draw(chances, numbers)
    return chosen if ids is None else ids.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
