from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gptkit.generation import sampling
from gptkit.generation.sampling import candidates, draw_candidate, sample, sequence_uniforms


def slow(row: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """Compute the probability of every token, one step after another."""
    weights = {token: math.exp(logit / temperature) for token, logit in enumerate(row)}
    if top_k:
        weights = dict(sorted(weights.items(), key=lambda item: -item[1])[:top_k])
    total = sum(weights.values())
    kept, reached = {}, 0.0
    for token, weight in sorted(weights.items(), key=lambda item: -item[1]):
        if reached >= top_p:
            break
        kept[token] = weight / total
        reached += weight / total
    return [kept.get(token, 0.0) / sum(kept.values()) for token in range(len(row))]


@pytest.mark.parametrize("sizes", [(4, 7), (1024,)])  # the nucleus is among the first candidates, or needs the whole vocabulary
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 5, 50])
@pytest.mark.parametrize("top_p", [0.05, 0.7, 0.99, 1.0])
def test_candidate_probabilities_match_the_definition(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], temperature: Any, top_k: Any, top_p: Any
) -> None:
    monkeypatch.setattr(sampling, "NUCLEUS_SIZES", sizes)
    torch.manual_seed(0)
    logits = 2 * torch.randn(3, 20, dtype=torch.float64)
    chances, ids = candidates(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    full = chances if ids is None else torch.zeros(3, 20, dtype=torch.float64).scatter(1, ids, chances)
    expected = torch.tensor([slow(row, temperature, top_k, top_p) for row in logits.tolist()], dtype=torch.float64)
    torch.testing.assert_close(full, expected, rtol=0, atol=1e-12)


def test_every_token_is_sampled_on_its_interval_of_the_cumulative_distribution() -> None:
    chances = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]], dtype=torch.float64)
    numbers = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert draw_candidate(chances.expand(6, -1), numbers).tolist() == [1, 1, 3, 3, 4, 4]


def test_extreme_temperatures_do_not_overflow() -> None:
    logits = torch.tensor([[1e4, -1e4, 9999.0, 1e4 - 1e-3]])
    half = torch.tensor([0.5], dtype=torch.float64)
    assert sample(logits, half, temperature=1e-30).item() == 0
    assert sample(logits, half, temperature=0).item() == 0
    assert sample(torch.tensor([[0.0, -torch.inf]]), half, temperature=1e30).item() == 0


def test_random_numbers_depend_on_seed_prompt_and_sample_and_fewer_are_a_prefix() -> None:
    assert np.array_equal(sequence_uniforms(1, 2, 3, 50)[:20], sequence_uniforms(1, 2, 3, 20))
    lists = [sequence_uniforms(*identity, 4).tolist() for identity in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0), (-1, 2, 3)]]
    assert len({tuple(numbers) for numbers in lists}) == 5
    many = sequence_uniforms(0, 0, 0, 100_000)
    assert abs(many.mean() - 0.5) < 5 * math.sqrt(1 / 12 / 100_000)


@pytest.mark.parametrize("temperature", [1e-20, 1e-31, 1e-300])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    sampled = sample(logits, torch.tensor([0.0, 0.3, 0.7, 0.999], dtype=torch.float64), temperature=temperature, top_k=7, top_p=0.9)
    assert sampled.tolist() == logits.argmax(dim=-1).tolist()
