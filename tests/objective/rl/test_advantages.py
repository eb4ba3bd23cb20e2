"""Advantages and whitening against slow loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gptkit.objective.rl.advantages import compute_advantages, explained_variance, response_mask, whiten

LENGTHS = [5, 1, 3, 5]
WIDTH = 5


def alone(tensor: Tensor) -> Tensor:
    """Return the sum over one device."""
    return tensor


def random(*, seed: int) -> Tensor:
    values = torch.randn(len(LENGTHS), WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values * response_mask(torch.tensor(LENGTHS), WIDTH)


def quadratic(rewards: list[float], values: list[float], discount: float, lam: float) -> list[float]:
    """Compute equation 16 as written: for every token, a sum over all later tokens."""
    after = [*values[1:], 0.0]
    surprises = [r + discount * ahead - v for r, v, ahead in zip(rewards, values, after, strict=True)]
    return [
        sum((discount * lam) ** (later - index) * surprises[later] for later in range(index, len(rewards)))
        for index in range(len(rewards))
    ]


@pytest.mark.parametrize(("discount", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.99, 0.0)])
def test_advantages_match_equation_16(discount: float, lam: float) -> None:
    rewards, values = random(seed=1), random(seed=2)
    result = compute_advantages(rewards, values, discount=discount, gae_lambda=lam)
    for row, length in enumerate(LENGTHS):
        expected = quadratic(rewards[row, :length].tolist(), values[row, :length].tolist(), discount, lam)
        assert result[row, :length].tolist() == pytest.approx(expected, abs=1e-12)
        assert not result[row, length:].any()


def test_without_discount_and_with_lambda_1_returns_are_sums_of_later_rewards() -> None:
    rewards, values = random(seed=3), random(seed=4)
    returns = compute_advantages(rewards, values, discount=1.0, gae_lambda=1.0) + values
    for row, length in enumerate(LENGTHS):
        expected = [float(rewards[row, index:length].sum()) for index in range(length)]
        assert returns[row, :length].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [True, False])
def test_whitening_matches_a_loop_over_response_tokens(shift: bool) -> None:
    values, mask = random(seed=6) * 3 + 2, response_mask(torch.tensor(LENGTHS), WIDTH)
    there = [float(values[row, index]) for row, length in enumerate(LENGTHS) for index in range(length)]
    mean = sum(there) / len(there)
    variance = sum((value - mean) ** 2 for value in there) / len(there)
    expected = [(value - mean) / (variance + 1e-8) ** 0.5 + (0.0 if shift else mean) for value in there]
    result = whiten(values, mask, alone, shift=shift)
    assert result[mask].tolist() == pytest.approx(expected, abs=1e-12)
    assert not result[~mask].any()


def test_whitening_on_two_devices_matches_one_device() -> None:
    """With two devices, each receives the sums over both."""
    values, mask = random(seed=7), response_mask(torch.tensor(LENGTHS), WIDTH)
    whole: list[Tensor] = []

    def remember(tensor: Tensor) -> Tensor:
        whole.append(tensor)
        return tensor

    expected = whiten(values, mask, remember)
    sums = iter(whole)
    assert torch.allclose(whiten(values[:2], mask[:2], lambda _: next(sums)), expected[:2], atol=1e-12)


def test_explained_variance_is_1_for_the_returns_and_0_for_their_mean() -> None:
    returns, mask = random(seed=8), response_mask(torch.tensor(LENGTHS), WIDTH)
    mean = torch.full_like(returns, float(returns[mask].mean()))
    assert float(explained_variance(returns, returns, mask, alone)) == 1.0
    assert float(explained_variance(mean, returns, mask, alone)) == pytest.approx(0.0, abs=1e-12)
    assert float(explained_variance(-returns, returns, mask, alone)) < 0
