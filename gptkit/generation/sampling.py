"""Sampling: temperature, top-k, nucleus (top-p) and random numbers, as pure functions.

Shapes: B rows, V vocabulary, C candidates. A row has one random number per token, which depends only on seed, prompt, sample and
position, so that a text does not depend on the other rows of its batch.
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

NUCLEUS_SIZES = (1024, 16384)
"""Numbers of most probable tokens among which the nucleus is searched first, since sorting the whole vocabulary is much slower."""

GREEDY_TEMPERATURE = 1e-30
"""Lower temperatures are greedy, since float32 would round them to 0."""


@dataclass(frozen=True)
class SamplingParams:
    """The parameters of sampling, and when a text ends."""

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: Sequence[str] = ()
    seed: int = 0
    slides: bool = False
    """Whether to continue beyond the context by reading the last part of the text again."""

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value is out of range. The command line makes the same checks."""
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
                raise ConfigError(f"{key}={value!r} is invalid; see gptkit generate --help")


def sequence_uniforms(seed: int, prompt: int, sample: int, count: int) -> NDArray[np.float64]:
    """Return `count` random numbers in [0, 1) for one sequence. A smaller `count` gives a prefix."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed % 2**64, prompt, sample)))).random(count)


def uniforms(seed: int, rows: Sequence[tuple[int, int]], count: int) -> Tensor:
    """Return the random numbers of B rows, each identified by (prompt, sample): (B, count) float64 in [0, 1)."""
    numbers = torch.empty(len(rows), count, dtype=torch.float64)
    for row, (prompt, sample) in enumerate(rows):
        numbers[row] = torch.from_numpy(sequence_uniforms(seed, prompt, sample, count))
    return numbers


def candidates(logits: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> tuple[Tensor, Tensor | None]:
    """Return the candidates for the next token and their probabilities.

    Applies the temperature, keeps the `top_k` most probable tokens, and among them the most probable ones that together reach
    `top_p` ("The Curious Case of Neural Text Degeneration", section 3.1).

    Args:
        logits: (B, V) logits.
        temperature: a positive temperature.
        top_k: number of tokens; 0: no limit.
        top_p: probability in (0, 1].

    Returns:
        (B, C) probabilities, 0 for excluded tokens, and (B, C) ids, or None if candidate c is token c.
    """
    scores = logits if logits.dtype == torch.float64 else logits.float()
    ids: Tensor | None = None
    if 0 < top_k < scores.shape[-1]:
        scores, ids = scores.topk(top_k, dim=-1)  # (B, k), descending
    # subtract the maximum, so that low temperatures do not overflow
    probabilities = ((scores - scores.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1)
    if top_p >= 1.0:
        return probabilities, ids
    if ids is None:
        probabilities, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    return _nucleus(probabilities, top_p), ids


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the most probable tokens that together reach `top_p`: (B, C) descending -> (B, C)."""
    before = probabilities.cumsum(dim=-1, dtype=torch.float64) - probabilities  # total probability of the more probable tokens
    probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    return probabilities / probabilities.sum(dim=-1, keepdim=True)


def draw_candidate(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Return the candidate at which the cumulative probability exceeds the random number: (B, C), (B,) -> (B,) int64."""
    sums = probabilities.cumsum(dim=-1, dtype=torch.float64)  # (B, C)
    total = sums[:, -1]
    target = torch.minimum(uniforms * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(sums, target.unsqueeze(-1), right=True).squeeze(-1)


def sample(logits: Tensor, uniforms: Tensor, *, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Sample the next token of each row: (B, V), (B,) float64 in [0, 1) -> (B,) int64. A temperature near 0 is greedy."""
    if temperature < GREEDY_TEMPERATURE:
        return logits.argmax(dim=-1)
    if top_p >= 1.0 or 0 < top_k < logits.shape[-1]:
        return _draw_token(*candidates(logits, temperature=temperature, top_k=top_k, top_p=top_p), uniforms)
    probabilities, _ = candidates(logits, temperature=temperature)
    return _sample_nucleus(probabilities, uniforms, top_p)


def _sample_nucleus(probabilities: Tensor, uniforms: Tensor, top_p: float) -> Tensor:
    """Sample from the nucleus, which is first searched among few candidates: (B, V), (B,) -> (B,).

    The number of candidates of a row depends on the row alone, since it decides the order of equally probable tokens.
    """
    tokens = torch.empty(len(probabilities), dtype=torch.int64, device=probabilities.device)
    rows = torch.arange(len(probabilities), device=probabilities.device)
    for size in (*NUCLEUS_SIZES, 0):
        if size >= probabilities.shape[-1]:
            continue
        top, ids = probabilities.topk(size, dim=-1) if size else probabilities.sort(dim=-1, descending=True, stable=True)
        is_inside = top.sum(dim=-1) >= (top_p if size else 0.0)
        inside = rows[is_inside]
        tokens[inside] = _draw_token(_nucleus(top[is_inside], top_p), ids[is_inside], uniforms[inside])
        rows, probabilities = rows[~is_inside], probabilities[~is_inside]
        if not len(rows):
            break
    return tokens


def _draw_token(probabilities: Tensor, ids: Tensor | None, uniforms: Tensor) -> Tensor:
    candidate = draw_candidate(probabilities, uniforms)
    return candidate if ids is None else ids.gather(-1, candidate.unsqueeze(-1)).squeeze(-1)
