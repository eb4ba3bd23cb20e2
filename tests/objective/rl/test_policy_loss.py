"""The losses of proximal policy optimisation, compared token by token with scalar formulas."""

from __future__ import annotations

import math

import pytest
import torch

from gptkit.objective.rl.policy_loss import approximate_kl, entropies, policy_losses, probability_ratios, value_losses


@pytest.mark.parametrize("advantage", [1.5, -2.0])
@pytest.mark.parametrize("difference", [0.0, 0.1, 0.5, -0.1, -0.7])
def test_the_policy_loss_is_the_larger_of_unclipped_and_clipped(advantage: float, difference: float) -> None:
    ratio = math.exp(difference)
    held = min(max(ratio, 0.8), 1.2)
    losses, clipped = policy_losses(
        probability_ratios(torch.tensor([difference - 1.0], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64)),
        torch.tensor([advantage], dtype=torch.float64),
        0.2,
    )
    assert losses.item() == pytest.approx(max(-advantage * ratio, -advantage * held), abs=1e-12)
    assert clipped.item() == (-advantage * held > -advantage * ratio)


def test_clipped_tokens_have_no_gradient() -> None:
    now = torch.tensor([0.5, -0.5, 0.05], requires_grad=True)
    losses, clipped = policy_losses(probability_ratios(now, torch.zeros(3)), torch.tensor([1.0, -1.0, 1.0]), 0.2)
    (gradient,) = torch.autograd.grad(losses.sum(), now)
    assert clipped.tolist() == [True, True, False]
    assert gradient[:2].tolist() == [0.0, 0.0]
    assert gradient[2].item() == pytest.approx(-math.exp(0.05))


def test_probability_ratios_never_overflow() -> None:
    result = probability_ratios(torch.tensor([0.0, -1e4]), torch.tensor([-1e4, 0.0]))
    assert result.tolist() == pytest.approx([math.exp(20), math.exp(-20)])


@pytest.mark.parametrize("value", [1.0, 1.1, 1.5, 0.4])
@pytest.mark.parametrize("expected", [0.0, 2.0])
def test_the_value_loss_is_the_larger_of_unclipped_and_clipped(value: float, expected: float) -> None:
    near = min(max(value, 0.8), 1.2)
    predicted, before, target = (torch.tensor([number], dtype=torch.float64) for number in (value, 1.0, expected))
    result = value_losses(predicted, before, target, 0.2)
    assert result.item() == pytest.approx(0.5 * max((value - expected) ** 2, (near - expected) ** 2), abs=1e-12)


def test_entropy_and_approximate_kl_match_their_formulas() -> None:
    chances = torch.tensor([[0.5, 0.25, 0.25], [0.98, 0.01, 0.01]], dtype=torch.float64)
    expected = [-sum(p * math.log(p) for p in row) for row in chances.tolist()]
    assert entropies(chances.log()).tolist() == pytest.approx(expected, abs=1e-12)
    assert approximate_kl(torch.tensor([-1.0]), torch.tensor([-1.5])).item() == pytest.approx(0.125)
