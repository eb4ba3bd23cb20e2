"""From logits to the next token, as pure functions. Shapes: B rows, V vocabulary, C candidates.

A row's randomness is a list of numbers that depends on (seed, prompt, sample) alone, one number per token, so that a text does not
depend on what else is in its batch.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HEADS = (1024, 16384)
"""Candidates among which the nucleus is looked for before the whole vocabulary is sorted, which takes many times longer."""


GREEDY = 1e-30
"""Below this temperature nothing but the most probable token is ever drawn, and float32, in which it divides, takes it for 0."""


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
        (B, C) probabilities, 0 for those excluded, and their (B, C) ids, or None where candidate c is token c.
    """
    scores = logits if logits.dtype == torch.float64 else logits.float()
    ids: Tensor | None = None
    if 0 < top_k < scores.shape[-1]:
        scores, ids = scores.topk(top_k, dim=-1)  # (B, k), falling
    chances = ((scores - scores.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1)  # largest 0: no temperature overflows
    if top_p >= 1.0:
        return chances, ids
    if ids is None:
        chances, ids = _nucleus_candidates(chances, top_p)
    before = chances.cumsum(dim=-1, dtype=torch.float64) - chances  # probability of all that are more probable
    chances = chances.masked_fill(before >= top_p, 0.0)
    return chances / chances.sum(dim=-1, keepdim=True), ids


def _nucleus_candidates(chances: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The most probable tokens, falling, so many that every row's reach `top_p`: (B, V) -> probabilities and ids (B, C)."""
    for size in HEADS:
        if size >= chances.shape[-1]:
            break
        most, ids = chances.topk(size, dim=-1)
        if bool((most.sum(dim=-1) >= top_p).all()):
            return most, ids
    most, ids = chances.sort(dim=-1, descending=True, stable=True)
    return most, ids


def draw(chances: Tensor, numbers: Tensor) -> Tensor:
    """The candidate at which the running sum of probabilities passes the row's number: (B, C), (B,) in [0, 1) -> (B,) int64."""
    sums = chances.cumsum(dim=-1, dtype=torch.float64)  # (B, C)
    total = sums[:, -1]
    target = torch.minimum(numbers * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(sums, target.unsqueeze(-1), right=True).squeeze(-1)


def sample(logits: Tensor, numbers: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """The next token of each row: (B, V), (B,) float64 in [0, 1) -> (B,) int64. Temperature 0, or next to it, is greedy."""
    if temperature < GREEDY:
        return logits.argmax(dim=-1)
    chances, ids = candidates(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    chosen = draw(chances, numbers)
    return chosen if ids is None else ids.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
