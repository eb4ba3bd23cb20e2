"""Sampling: temperature, top-k, nucleus (top-p) and the random numbers, as pure functions.

Shapes: B rows, V vocabulary, C candidates. A row has one random number per token. They depend on (seed, prompt, sample)
alone, so that a text does not depend on the other rows of its batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gptkit.errors import ConfigError

HEADS = (1024, 16384)
"""Numbers of most probable tokens in which the nucleus is searched first: sorting the whole vocabulary takes many times longer."""

GREEDY = 1e-30
"""Lower temperatures always draw the most probable token; float32, which divides by the temperature, would round them to 0."""


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are sampled and when a text ends."""

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: Sequence[str] = ()
    seed: int = 0
    slides: bool = False
    """Continue past the context by reading the last part of the text again."""

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is out of its range; the command line checks the same."""
        checks = {
            "max_new_tokens": self.max_new_tokens >= 1,
            "temperature": 0 <= self.temperature < math.inf,
            "top_k": self.top_k >= 0,
            "top_p": 0 < self.top_p <= 1,
            "stop": not isinstance(self.stop, str) and all(self.stop),
        }
        for key, is_valid in checks.items():
            if not is_valid:
                value = getattr(self, key)
                raise ConfigError(f"{key}={value!r} cannot be used; see gptkit generate --help for what can")


def sequence_uniforms(seed: int, prompt: int, sample: int, count: int) -> NDArray[np.float64]:
    """`count` random numbers in [0, 1) for one sequence; a longer list starts with a shorter one."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed % 2**64, prompt, sample)))).random(count)


def uniforms(seed: int, rows: Sequence[tuple[int, int]], count: int) -> Tensor:
    """(B, count) float64 in [0, 1): the random numbers of B rows, each row given as (prompt, sample)."""
    numbers = torch.empty(len(rows), count, dtype=torch.float64)
    for row, (prompt, sample) in enumerate(rows):
        numbers[row] = torch.from_numpy(sequence_uniforms(seed, prompt, sample, count))
    return numbers


def candidates(logits: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> tuple[Tensor, Tensor | None]:
    """The tokens that may come next, with their probabilities.

    Applies the temperature, keeps the `top_k` most probable tokens, and of these the most probable ones that together reach
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
        scores, ids = scores.topk(top_k, dim=-1)  # (B, k), descending
    # the largest score becomes 0, so that no temperature overflows
    probabilities = ((scores - scores.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1)
    if top_p >= 1.0:
        return probabilities, ids
    if ids is None:
        probabilities, ids = _nucleus_candidates(probabilities, top_p)
    before = probabilities.cumsum(dim=-1, dtype=torch.float64) - probabilities  # probability of all that are more probable
    probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    return probabilities / probabilities.sum(dim=-1, keepdim=True), ids


def _nucleus_candidates(probabilities: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The most probable tokens, descending, enough for every row to reach `top_p`: (B, V) -> probabilities and ids (B, C)."""
    for size in HEADS:
        if size >= probabilities.shape[-1]:
            break
        top, ids = probabilities.topk(size, dim=-1)
        if bool((top.sum(dim=-1) >= top_p).all()):
            return top, ids
    top, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    return top, ids


def draw_candidate(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The candidate where the running sum of probabilities passes the row's random number: (B, C), (B,) in [0, 1) -> (B,) int64."""
    sums = probabilities.cumsum(dim=-1, dtype=torch.float64)  # (B, C)
    total = sums[:, -1]
    target = torch.minimum(uniforms * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(sums, target.unsqueeze(-1), right=True).squeeze(-1)


def sample(logits: Tensor, uniforms: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """The next token of each row: (B, V), (B,) float64 in [0, 1) -> (B,) int64. A temperature of about 0 is greedy."""
    if temperature < GREEDY:
        return logits.argmax(dim=-1)
    probabilities, ids = candidates(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    candidate = draw_candidate(probabilities, uniforms)
    return candidate if ids is None else ids.gather(-1, candidate.unsqueeze(-1)).squeeze(-1)
